import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeyLanes } from '../../../src/consumer/pace/key-lanes.js';
import { collectGarbage } from '../../support/garbage.js';

const KEYS = ['a', 'b', 'c', 'd'];

/** What KeyLanes is to do, said as directly as can be: an item may go when nobody before it shares a key. */
class NaiveLanes {
  readonly items: { readonly id: number; readonly keys: readonly string[]; taken: boolean }[] = [];

  get takeable(): number[] {
    return this.items
      .filter(
        ({ keys, taken }, position) => !taken && !this.#before(position).some((key) => keys.includes(key)),
      )
      .map(({ id }) => id);
  }

  remove(id: number): void {
    this.items.splice(
      this.items.findIndex((item) => item.id === id),
      1,
    );
  }

  #before(position: number): readonly string[] {
    return this.items.slice(0, position).flatMap(({ keys }) => keys);
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), keys: fc.subarray(KEYS) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
);

describe('KeyLanes', () => {
  test('gives an item when it is first for each of its keys, whatever the order of events', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const lanes = new KeyLanes<number>();
        const naive = new NaiveLanes();
        let next = 0;
        for (const one of steps) {
          if (one.do === 'add') {
            const id = next++;
            lanes.add(id, one.keys);
            naive.items.push({ id, keys: one.keys, taken: false });
          } else if (one.do === 'take') {
            const taken = lanes.take();
            if (taken === undefined) expect(naive.takeable).toEqual([]);
            else expect(naive.takeable).toContain(taken);
            for (const item of naive.items) if (item.id === taken) item.taken = true;
          } else if (one.do === 'remove' && naive.items.length > 0) {
            const id = naive.items[one.which % naive.items.length]?.id ?? 0;
            lanes.remove(id);
            naive.remove(id);
          } else if (one.do === 'clear') {
            const untaken = naive.items.filter(({ taken }) => !taken).map(({ id }) => id);
            expect(lanes.clear()).toEqual(untaken);
            for (const id of untaken) naive.remove(id);
          }
          expect(lanes.size).toBe(naive.items.length);
        }
        // No deadlock: taking and removing, all of them come to their turn.
        for (const { id, taken } of [...naive.items]) if (taken) lanes.remove(id);
        let rest = naive.items.filter(({ taken }) => !taken).length;
        for (; rest > 0; rest--) {
          const taken = lanes.take();
          if (taken === undefined) throw new Error(`${rest} items are stuck`);
          lanes.remove(taken);
        }
        expect(lanes.size).toBe(0);
      }),
      { numRuns: 10_000 },
    );
  });

  test('the same key twice counts once', () => {
    const lanes = new KeyLanes<string>();
    lanes.add('x', ['a', 'a']);
    expect(lanes.take()).toBe('x');
    lanes.add('y', ['a']);
    expect(lanes.take()).toBeUndefined();
    lanes.remove('x');
    expect(lanes.take()).toBe('y');
  });

  test('removing an unknown item does nothing', () => {
    const lanes = new KeyLanes<string>();
    lanes.remove('x');
    expect(lanes.size).toBe(0);
  });
});

/** Items of several keys: no key has more than its width taken, and whatever could be taken is. */
test('takes as many items of a key as its width, in the order of arrival, and forgets none', () => {
  const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.record({ keys, removes: fc.nat(9) }), { maxLength: 60 }),
      (width, steps) => {
        const lanes = new KeyLanes<number>(width);
        const keysOf = new Map<number, readonly string[]>();
        const taken = new Set<number>();
        const held = () => [...keysOf.keys()].sort((a, b) => a - b);
        const takeAll = () => {
          for (let item = lanes.take(); item !== undefined; item = lanes.take()) taken.add(item);
          for (const item of held()) {
            const own = keysOf.get(item) ?? [];
            const ahead = (key: string) =>
              held().filter((other) => other < item && keysOf.get(other)?.includes(key)).length;
            expect(taken.has(item)).toBe(own.every((key) => ahead(key) < width));
          }
        };
        for (const [item, step] of steps.entries()) {
          keysOf.set(item, step.keys);
          lanes.add(item, step.keys);
          takeAll();
          const removed = held()[step.removes];
          if (removed === undefined) continue;
          lanes.remove(removed);
          keysOf.delete(removed);
          taken.delete(removed);
          takeAll();
        }
        for (const item of held()) {
          lanes.remove(item);
          keysOf.delete(item);
          takeAll();
        }
        expect(lanes.size).toBe(0);
      },
    ),
  );
});

test('keys whose items are gone take no memory', () => {
  const lanes = new KeyLanes<number>();
  const pass = (count: number) => {
    for (let n = 0; n < count; n++) {
      lanes.add(n, [`${n} ${'x'.repeat(2000)}`.toUpperCase()]);
      lanes.take();
      lanes.remove(n);
    }
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const before = pass(100);
  // Kept, they would take 40 MB.
  expect(pass(20_000) - before).toBeLessThan(10_000_000);
  expect(lanes.size).toBe(0);
});
