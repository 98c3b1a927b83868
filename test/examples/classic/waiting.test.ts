import { expect, test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('waiting: ten waits take the time of ten one after the other, and less side by side and in processes', async () => {
  const lines = await linesOf('waiting');
  const [serial, atOnce, processes] = lines.map((line) => Number(/([\d.]+) s$/.exec(line)?.[1]));
  // However slow the machine: ten waits of 200 ms one after the other. A timer may be early by a millisecond.
  expect(serial).toBeGreaterThanOrEqual(1.98);
  expect(atOnce).toBeLessThan(serial as number);
  expect(processes).toBeLessThan(serial as number);
  await expectAsInReadme('waiting', lines, { varies: [/[\d.]+ s$/] });
});
