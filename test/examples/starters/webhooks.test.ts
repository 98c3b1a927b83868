import { expect, test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('webhooks: all are delivered, though the partner asks for a break and is down for a while', async () => {
  const lines = await linesOf('webhooks');
  // How often the breaker opens depends on when the partner comes back.
  const isTry = (line: string) => /^(they are down|another try)/.test(line);
  expect(lines.filter((line) => line.startsWith('they are down')).length).toBeGreaterThan(0);
  // At least thirty begin, ten a second.
  expect(Number(/([\d.]+) s$/.exec(lines.at(-1) ?? '')?.[1])).toBeGreaterThanOrEqual(2);
  const once = lines.filter((line, index) => !isTry(line) || lines.indexOf(line) === index);
  await expectAsInReadme('webhooks', once, { anyOrder: true, varies: [/[\d.]+ s$/] });
});
