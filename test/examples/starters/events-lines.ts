import { expect } from 'vitest';

/** What must be true of each run, whoever is faster. */
export function expectEvents(lines: readonly string[]): void {
  const of = (who: string) => lines.filter((line) => line.startsWith(`${who}: `)).sort();
  expect(of('mail')).toEqual([
    'mail: order A-1: thank you, your grindstone is on its way',
    'mail: order A-2: cancelled, too heavy',
    'mail: order A-2: thank you, your grindstone is on its way',
  ]);
  expect(of('invoice').map((line) => line.slice(0, 21))).toEqual([
    'invoice: order A-1: 4',
    'invoice: order A-2: 4',
    'invoice: paper jam, a',
  ]);
  expect(of('invoice').filter((line) => line.endsWith('(order.placed, attempt 2)'))).toHaveLength(1);
  expect(of('search')).toEqual([
    'search: grindstone costs 40',
    'search: grindstone was sold 1 times',
    'search: grindstone was sold 2 times',
  ]);
  expect(lines).toContain('the shop: 4 events published, the last one to somebody');
  expect(lines.at(-1)).toBe('the shop: closed; what happens now waits for them: true');
}
