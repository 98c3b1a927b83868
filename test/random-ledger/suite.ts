/**
 * `npm test` repeats fixed seeds. `npm run test:ledger -- --minutes 60` draws fresh ones until the time is over and goes
 * on after a failure; `-- --subject quorum --seed 7` repeats one, and `--operations '[…]'` a sequence.
 */
import { appendFileSync } from 'node:fs';
import { describe, expect, type TestContext, test } from 'vitest';
import { countInReport } from '../support/amounts.js';
import { drawOperations, type Operation } from './operations.js';
import { runOperations } from './run-operations.js';
import { shrink } from './shrink.js';
import type { Subject } from './subject.js';

const { LEDGER_MINUTES, LEDGER_SEED, LEDGER_SUBJECT, LEDGER_OPERATIONS, LEDGER_FINDINGS } = process.env;
/** For so long a failing sequence is shortened. */
const SHRINK_LIMIT_MS = 120_000;
/** What fails by luck is given so many chances to do so again. */
const SHRINK_TRIES = 2;

/** By subject. A seed that failed once joins them. */
export type FixedSeeds = Readonly<Record<string, readonly number[]>>;

export function randomLedger(all: readonly Subject[], fixed: FixedSeeds): void {
  const subjects = all.filter(({ name }) => LEDGER_SUBJECT === undefined || name === LEDGER_SUBJECT);
  describe.each(subjects)('random operations on $name', (subject) => {
    if (LEDGER_OPERATIONS !== undefined) {
      const operations: Operation[] = JSON.parse(LEDGER_OPERATIONS);
      test('lose nothing and invent nothing (the given ones)', async () => {
        expect(await runOperations(subject, operations)).toEqual([]);
      });
    } else if (LEDGER_MINUTES !== undefined) {
      const limitMs = (Number(LEDGER_MINUTES) * 60_000) / subjects.length;
      test('lose nothing and invent nothing (fresh seeds)', { timeout: 0 }, async (context) => {
        expect(await runFreshSeeds(subject, limitMs, context)).toEqual([]);
      });
    } else {
      const seeds = LEDGER_SEED === undefined ? (fixed[subject.name] ?? []) : [Number(LEDGER_SEED)];
      for (const seed of seeds) {
        test(`lose nothing and invent nothing (seed ${seed})`, async (context) => {
          expect(await runSeed(subject, seed, context)).toBe('');
        });
      }
    }
  });
}

/** Resolves with what went wrong. */
async function runFreshSeeds(subject: Subject, limitMs: number, context: TestContext): Promise<string[]> {
  const endAt = performance.now() + limitMs;
  const findings: string[] = [];
  let seeds = 0;
  for (; performance.now() < endAt; seeds++) {
    const finding = await runSeed(subject, Math.floor(Math.random() * 2 ** 31), context);
    if (finding === '') continue;
    findings.push(finding);
    process.stderr.write(`\n${finding}\n`);
    if (LEDGER_FINDINGS !== undefined) appendFileSync(LEDGER_FINDINGS, `${finding}\n\n`);
  }
  process.stderr.write(`${subject.name}: ${findings.length} of ${seeds} seeds failed\n`);
  return findings;
}

/** Resolves with what is wrong and how to repeat it; with nothing, where nothing is. */
async function runSeed(subject: Subject, seed: number, context: TestContext): Promise<string> {
  const run = (operations: readonly Operation[]) => {
    countInReport(context, 'random operations', operations.length);
    return runOperations(subject, operations);
  };
  const drawn = drawOperations(seed, subject.weights);
  const breaches = await run(drawn);
  if (breaches.length === 0) return '';
  const kinds = kindsOf(breaches);
  const endAt = performance.now() + SHRINK_LIMIT_MS;
  const isSame = async (operations: readonly Operation[]) =>
    kindsOf(await run(operations)).some((kind) => kinds.includes(kind));
  const shortest = await shrink(drawn, isSame, {
    tries: SHRINK_TRIES,
    isOver: () => performance.now() > endAt,
  });
  return [
    `seed ${seed} on ${subject.name}:`,
    ...breaches.slice(0, 10).map((breach) => `  ${breach.slice(0, 500)}`),
    `${shortest.length} of its ${drawn.length} operations fail alike:`,
    ...shortest.map((operation) => `  ${JSON.stringify(operation)}`),
    `npm run test:ledger -- --subject '${subject.name}' --seed ${seed}`,
    `npm run test:ledger -- --subject '${subject.name}' --operations '${JSON.stringify(shortest)}'`,
  ].join('\n');
}

/** Without the ids and numbers in them, breaches are alike. */
function kindsOf(breaches: readonly string[]): string[] {
  return breaches.map((breach) => breach.replace(/:.*/s, '').replace(/\d+/g, 'n'));
}
