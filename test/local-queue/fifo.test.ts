import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fifo } from '../../src/local-queue/fifo.js';

test('items come out in the order in which they went in, over any number of rings', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ push: fc.nat(700), shift: fc.nat(700), atOnce: fc.boolean() }), {
        maxLength: 12,
      }),
      (steps) => {
        const fifo = new Fifo<number>();
        const model: number[] = [];
        let next = 0;
        for (const { push, shift, atOnce } of steps) {
          for (let i = 0; i < push; i++) {
            fifo.push(next);
            model.push(next++);
          }
          const count = Math.min(shift, model.length);
          const taken = atOnce
            ? fifo.shiftMany([], count)
            : Array.from({ length: count }, () => fifo.shift());
          expect(taken).toEqual(model.splice(0, taken.length));
          expect(fifo.length).toBe(model.length);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('undefined is an item like any other', () => {
  const fifo = new Fifo<number | undefined>();
  fifo.push(undefined);
  fifo.push(1);

  expect(fifo.length).toBe(2);
  expect([fifo.shift(), fifo.shift()]).toEqual([undefined, 1]);
  expect(fifo.length).toBe(0);
});

test('a cleared one is empty and can be used again', () => {
  const fifo = new Fifo<number>();
  for (let i = 0; i < 1000; i++) fifo.push(i);

  fifo.clear();
  expect(fifo.length).toBe(0);
  expect(fifo.shift()).toBeUndefined();
  fifo.push(7);
  expect(fifo.shift()).toBe(7);
});
