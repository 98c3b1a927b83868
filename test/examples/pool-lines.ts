/** What the pool prints, the same on every backend. */
export const POOL = [
  'apply: 49',
  'applyAsync: 64',
  'map: 1 4 9 16 25 36 49 64 81 100',
  'error: REMOTE_ERROR, "seven" is not a number',
  'closed: CLOSED',
  'join: 121',
  'primes: 78498 78498 78498; the event loop went on meanwhile',
  'crash: 25, by the worker that took its place',
];
