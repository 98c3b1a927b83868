import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DEFAULT_PRIORITY, type Message } from '../../../src/broker.js';
import { ReadyMessages } from '../../../src/local-queue/memory/ready-messages.js';
import { StoredMessage } from '../../../src/local-queue/memory/stored-message.js';

function stored(id: string, priority?: number): StoredMessage {
  const message: Message = { id, contentType: '', headers: {}, body: '', priority };
  return new StoredMessage(message, 1, false);
}

function drain(ready: ReadyMessages): string[] {
  const ids: string[] = [];
  for (let next = ready.shift(); next !== undefined; next = ready.shift()) ids.push(next.message.id);
  return ids;
}

test('the highest priority comes first, the oldest among equals; an unset priority counts as the default', () => {
  const ready = new ReadyMessages();
  for (const [id, priority] of [
    ['low', 0],
    ['unset', undefined],
    ['default', DEFAULT_PRIORITY],
    ['highest', 31],
    ['low too', 0],
    ['high', 30],
  ] as const) {
    ready.push(stored(id, priority));
  }

  expect(drain(ready)).toEqual(['highest', 'high', 'unset', 'default', 'low', 'low too']);
});

test('returned messages take their old positions, in whatever order they return', () => {
  const take = fc.record({ do: fc.constant('take' as const) });
  const push = fc.record({ do: fc.constant('push' as const), priority: fc.constantFrom(0, 4, 5, 31) });
  const putBack = fc.record({ do: fc.constant('putBack' as const), which: fc.nat(20) });
  const clear = fc.record({ do: fc.constant('clear' as const) });
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          { weight: 8, arbitrary: push },
          { weight: 6, arbitrary: take },
          { weight: 5, arbitrary: putBack },
          { weight: 1, arbitrary: clear },
        ),
        { maxLength: 60 },
      ),
      (steps) => {
        const ready = new ReadyMessages();
        // Sorted by priority, then by arrival, from scratch at each step.
        let model: { readonly stored: StoredMessage; readonly arrival: number }[] = [];
        const out: typeof model = [];
        let arrivals = 0;
        for (const step of steps) {
          if (step.do === 'push') {
            const entry = { stored: stored(`m${arrivals}`, step.priority), arrival: arrivals++ };
            ready.push(entry.stored);
            model.push(entry);
          } else if (step.do === 'take') {
            model.sort((a, b) => b.stored.priority - a.stored.priority || a.arrival - b.arrival);
            const expected = model.shift();
            expect(ready.shift()).toBe(expected?.stored);
            if (expected !== undefined) out.push(expected);
          } else if (step.do === 'putBack') {
            const [entry] = out.splice(step.which % Math.max(1, out.length), 1);
            if (entry === undefined) continue;
            ready.unshift(entry.stored);
            model.push(entry);
          } else {
            expect(ready.clear()).toBe(model.length);
            model = [];
          }
          expect(ready.length).toBe(model.length);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test('only expired messages are removed, returned ones included, and the others keep their places', () => {
  const expiring = (id: string, expiresAt?: number) =>
    new StoredMessage({ id, contentType: '', headers: {}, body: '', expiresAt }, 1, false);
  const ready = new ReadyMessages();
  for (const one of [
    expiring('returned, expired', 10),
    expiring('returned', 30),
    expiring('returned for ever'),
    expiring('expired', 20),
    expiring('waits', 40),
  ])
    ready.push(one);
  const taken = [ready.shift(), ready.shift(), ready.shift()] as StoredMessage[];
  for (const one of taken) ready.unshift(one);

  const { expired, next } = ready.removeExpired(20);
  expect(expired.map(({ message }) => message.id).sort()).toEqual(['expired', 'returned, expired']);
  expect(next).toBe(30);
  expect(ready.length).toBe(3);
  expect(drain(ready)).toEqual(['returned', 'returned for ever', 'waits']);
});
