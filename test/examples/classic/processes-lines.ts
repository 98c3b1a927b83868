import { expect } from 'vitest';
import type { Example } from '../support/run-example.js';

/** What must be true of each run. */
export async function expectProcesses(example: Example): Promise<void> {
  expect(await example.exit(), example.stderr).toBe(0);
  expect(example.lines).toContain('producer: as you wish, 1 ms between two jobs');
  expect(example.lines).toContain('producer: 40 jobs are stored');
  expect(example.lines.at(-1)).toBe('40 jobs done, most of them by Ben; Ann was killed');
  expect(example.stdout).toMatch(/^Ben: job \d+ is redelivered: its first worker has died$/m);
}
