import { expect } from 'vitest';

/** Which worker did a task differs from run to run. */
export const WORKER = /(worker \d|thread \d+ of process \d+|process \d+)$/;

/** What the pool prints, whichever worker did what. */
export function expectPool(lines: readonly string[], { killed }: { readonly killed: boolean }): void {
  expect(lines.map((line) => line.replace(WORKER, 'a worker'))).toEqual([
    'apply: 49, by a worker',
    'applyAsync: 64, by a worker',
    'map: 1 4 9 16 25',
    ...[36, 49, 64, 81, 100].map((square) => `imap: ${square}, by a worker`),
    'error: REMOTE_ERROR, "seven" is not a number',
    ...(killed ? ['killed: one of 3 processes; all 60 results are there'] : []),
    'closed: CLOSED',
    'join: 121',
    'crash: 25, by the worker that took its place',
    'primes: 78498, by a worker',
    'primes: 78498, by a worker',
    'primes: 78498, by a worker',
    'the event loop went on meanwhile',
  ]);
}
