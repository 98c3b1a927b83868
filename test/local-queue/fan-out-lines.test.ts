import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Linked, LinkedList } from '../../src/common/linked-list.js';
import { FanOutLines } from '../../src/local-queue/fan-out-lines.js';

/** Waits for room in the queues that its routing key names. */
class Waiting implements Linked<Waiting> {
  list: LinkedList<Waiting> | undefined = undefined;
  previous: Waiting | undefined = undefined;
  next: Waiting | undefined = undefined;
  readonly to: { readonly exchange: string; readonly routingKey: string };
  readonly number: number;

  constructor(number: number, routingKey: string) {
    this.number = number;
    this.to = { exchange: 'e', routingKey };
  }
}

function linesOf(items: readonly Waiting[]) {
  const lines = new FanOutLines<Waiting, LinkedList<Waiting>>(
    () => new LinkedList(),
    (item) => item,
  );
  for (const item of items) lines.lineTo(item.to).append(item);
  return lines;
}

test('however many wait for the same queues, only the first of them is tried', () => {
  const lines = linesOf(Array.from({ length: 1000 }, (_, number) => new Waiting(number, 'a')));
  let tried = 0;
  lines.serve(() => ++tried === 0);
  expect(tried).toBe(1);
  expect(lines.destinations).toEqual([{ exchange: 'e', routingKey: 'a' }]);
});

test('nobody waits once all have left, and two destinations are never one line', () => {
  const [one, other] = [new Waiting(1, 'a'), new Waiting(2, 'b')];
  const lines = linesOf([one, other]);
  expect(lines.lineTo({ exchange: 'ea', routingKey: '' })).not.toBe(one.list);
  for (const item of [one, other]) item.list?.remove(item);
  expect(lines.isEmpty).toBe(true);
  lines.serve(() => expect.unreachable());
});

test('messages are stored in the order in which they came, as if each was tried in turn', () => {
  const queues = fc.subarray(['p', 'q', 'r'], { minLength: 1 });
  fc.assert(
    fc.property(
      fc.array(queues, { maxLength: 20 }),
      fc.record({ p: fc.nat(4), q: fc.nat(4), r: fc.nat(4) }),
      (wanted, room) => {
        const items = wanted.map((names, number) => new Waiting(number, names.join()));
        const taking = (place: Record<string, number>) => {
          const claimed = new Set<string>();
          return ({ to }: Waiting) => {
            const names = to.routingKey.split(',');
            const fits = names.every((name) => (place[name] as number) > 0 && !claimed.has(name));
            for (const name of names) {
              if (fits) place[name] = (place[name] as number) - 1;
              else claimed.add(name);
            }
            return fits;
          };
        };
        const naive = items.filter(taking({ ...room })).map(({ number }) => number);
        const stored: number[] = [];
        const take = taking({ ...room });
        linesOf(items).serve((item) => {
          if (!take(item)) return false;
          item.list?.remove(item);
          stored.push(item.number);
          return true;
        });
        expect(stored).toEqual(naive);
      },
    ),
  );
});
