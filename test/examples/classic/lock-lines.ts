import { expect } from 'vitest';

/** What must be true of each run, whatever else differs. */
export function expectLocked(lines: readonly string[]): void {
  const [without, withLock, killed, ...more] = lines;
  expect(Number(/, (\d+) sold$/.exec(without ?? '')?.[1]), 'sold more than once').toBeGreaterThan(10);
  expect(withLock).toBe('with the lock:  10 tickets, 10 sold');
  expect(killed).toBe('the holder was killed; the next one had the lock at once, and 1 ticket');
  expect(more).toEqual([]);
}
