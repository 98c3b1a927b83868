import { expect } from 'vitest';

/** What must be true of each run; the two sacks may be ground in any order. */
export function expectTail(lines: readonly string[]): void {
  expect(lines.slice(0, -1).sort()).toEqual([
    'sack.delivered {"grain":"oats","kilos":60}',
    'sack.delivered {"grain":"rye","kilos":80}',
    'sack.ground {"grain":"oats","kilos":45}',
    'sack.ground {"grain":"rye","kilos":60}',
  ]);
  expect(lines.at(-1)).toBe('the miller has handled 2 sacks, although each of them was watched');
}
