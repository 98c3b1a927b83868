import { describe, expect, test } from 'vitest';
import { asTest } from '../support/warnings.js';
import { ContractContext } from './contract-context.js';
import type { BrokerSubject, Skips } from './subject.js';

/** Cases by title; a title is a promise as its user would say it. */
export type Cases = Readonly<Record<string, (t: ContractContext) => Promise<void>>>;

/** Groups of which most cases wait for a delay, or for statistics, to pass: they wait at the same time. */
const WAITING = ['later', 'expiry', 'what is there'];

/** Groups of which cases set the clock of the process, or look at its warnings: one case after the other. */
const ALONE = ['batches', 'request', 'schedules', 'send many'];

/** Runs each case in a context of its own. A skip shows its reason; a skip that names no case is a failure. */
export function contractSuite(
  title: string,
  subject: BrokerSubject,
  groups: Readonly<Record<string, Cases>>,
  skips: Skips,
): void {
  describe(`${title}: ${subject.name}`, () => {
    for (const [group, cases] of Object.entries(groups)) {
      if (subject.groups?.includes(group) === false) continue;
      const concurrent = WAITING.includes(group) || (subject.waits === true && !ALONE.includes(group));
      describe(group, { concurrent }, () => {
        for (const [caseTitle, run] of Object.entries(cases)) {
          const reason = skips[caseTitle];
          if (reason !== undefined) {
            test.skip(`${caseTitle} (${reason})`, () => {});
            continue;
          }
          test(caseTitle, (context) =>
            asTest(context, async () => {
              const t = await ContractContext.open(subject);
              try {
                await run(t);
              } finally {
                await t.close();
              }
            }),
          );
        }
      });
    }

    test('every skip names a case and every case has a title of its own', () => {
      const titles = Object.values(groups).flatMap((cases) => Object.keys(cases));
      expect(titles).toEqual(expect.arrayContaining(Object.keys(skips)));
      expect(new Set(titles).size).toBe(titles.length);
    });
  });
}
