import { expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { defineExchange } from '../../../src/exchange.js';
import { MessageWriter } from '../../../src/local-queue/disk/message-lists.js';
import type { PublishRequest, Request } from '../../../src/local-queue/disk/protocol.js';
import { MessageTable } from '../../../src/local-queue/disk/store/messages/message-table.js';
import { ExitGuard } from '../../../src/local-queue/disk/store/sqlite.js';
import { Store } from '../../../src/local-queue/disk/store/store.js';
import { WaitingFanOut, WaitingFanOuts } from '../../../src/local-queue/disk/store/waiting-publishes.js';
import { WriteLock } from '../../../src/local-queue/disk/store/write-lock.js';
import { defineQueue } from '../../../src/queue.js';
import { newFolder } from './folders.js';

const exchange = defineExchange('events');

/** A store whose queues 'one' and 'two' get every event; 'one' has room for one message. */
function openStore(): Store {
  const store = new Store(newFolder(), 30_000, new WriteLock(new ExitGuard()));
  onTestFinished(() => store.close());
  const queues = [
    { name: 'one', capacity: 1 },
    { name: 'two', capacity: 10 },
  ];
  const declarations = queues.map(({ name, capacity }, index): Request => {
    const bindings = [{ exchange, routingKey: '#' }];
    const { spec } = defineQueue(name, z.string(), { capacity, deadLetter: false, bindings });
    return { kind: 'declare', id: 1000 + index, spec };
  });
  expect(store.apply(declarations).reply.answers).toHaveLength(2);
  return store;
}

function publish(id: number): PublishRequest {
  const writer = new MessageWriter();
  writer.append({ id: `m${id}`, contentType: '', headers: {}, body: 'text' });
  return {
    kind: 'publish',
    exchanges: ['events'],
    routingKeys: ['order.placed'],
    ids: [id],
    target: [0],
    flags: [0],
    due: new Map(),
    messages: writer.finish(),
    size: 4,
  };
}

const makeRoom: Request = { kind: 'purge', id: 2000, queue: 'one' };

function readyIn(store: Store, queue: string): number {
  const [answer] = store.apply([{ kind: 'queue', id: 3000, queue }]).reply.answers;
  return (answer as { readonly value: { readonly ready: number } }).value.ready;
}

test('an event that waited, and could not be stored when there was room, is refused and never stored', () => {
  const store = openStore();
  expect(store.apply([publish(1)]).reply.done).toEqual([1]);
  const waiting = store.apply([publish(2), publish(3)]).reply;
  expect([...waiting.done, ...waiting.refused]).toEqual([]);

  const spy = vi.spyOn(MessageTable.prototype, 'insertInAll').mockImplementationOnce(() => {
    throw new Error('disk I/O error');
  });
  onTestFinished(() => spy.mockRestore());
  const failed = store.apply([makeRoom]).reply;
  expect(failed.refused.map(({ id }) => id)).toEqual([2, 2000]);
  expect(store.isWaiting).toBe(true);

  // The one behind it is stored; what was refused leaves no trace, and holds up nothing.
  expect(store.apply([makeRoom]).reply.done).toEqual([3]);
  expect(store.isWaiting).toBe(false);
  expect(store.apply([makeRoom]).reply.done).toEqual([]);
  expect(readyIn(store, 'one')).toBe(0);
  expect(readyIn(store, 'two')).toBe(2);
});

test('a queue that loses a binding, or gets more room, wakes the processes that may wait for it', () => {
  const store = openStore();
  const { spec: larger } = defineQueue('two', z.string(), { capacity: 20, deadLetter: false });
  expect(store.apply([{ kind: 'declare', id: 3, spec: larger }]).wakesOthers).toBe(true);
  expect(store.apply([{ kind: 'declare', id: 4, spec: larger }]).wakesOthers).toBe(false);
  const unbind = [{ exchange, routingKey: '#' }];
  const { spec } = defineQueue('one', z.string(), { capacity: 1, deadLetter: false, unbind });
  expect(store.apply([{ kind: 'declare', id: 1, spec }]).wakesOthers).toBe(true);
  expect(store.apply([{ kind: 'declare', id: 2, spec }]).wakesOthers).toBe(false);
});

test('no line is kept for an event once nothing waits', () => {
  const to = { exchange: 'events', routingKey: 'order.placed' };
  const [first, second] = [publish(1), publish(2)].map(({ messages, ids: [id = 0] }) => {
    const columns = [messages.ids[0] ?? '', '', null, null, null, null, null, null, ''] as const;
    return new WaitingFanOut(id, to, false, { rank: 4, columns });
  }) as [WaitingFanOut, WaitingFanOut];
  const fanOuts = new WaitingFanOuts();
  fanOuts.add(first);
  const line = first.list;
  expect(line).toBeDefined();
  expect(fanOuts.remove(1)).toBe(true);
  fanOuts.add(second);
  expect(second.list).not.toBe(line);
});
