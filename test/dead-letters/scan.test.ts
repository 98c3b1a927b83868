import { afterEach, expect, test } from 'vitest';
import type { Backend, Delivery } from '../../src/broker.js';
import { headersBytes, MAX_HEADERS_BYTES } from '../../src/common/message/headers.js';
import { type DeadLetters, deadLetters } from '../../src/dead-letters/dead-letters.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { defineQueue } from '../../src/queue.js';
import { message } from '../contract/contract-context.js';
import { untilAsserted } from '../support/eventually.js';
import { forwardTo } from '../support/forward-broker.js';
import { rejection } from '../support/rejection.js';

const schema = {
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
} as const;
const opened: Backend[] = [];
afterEach(() => Promise.all(opened.splice(0).map((broker) => broker.close())));

/** A broker with dead letters in a queue, and how to reach them. */
async function withDeadLetters(ids: readonly string[]): Promise<Backend> {
  const broker = openMemoryBroker();
  opened.push(broker);
  await broker.declare(defineQueue('q', schema).spec);
  for (const id of ids) await broker.publish({ exchange: '', routingKey: 'q.dead' }, message({ id }));
  return broker;
}

/** The same broker, but the first `times` deliveries of the message `b` cost its subscriber all that it holds. */
function poisoned(broker: Backend, times = Number.POSITIVE_INFINITY): Backend {
  let losses = 0;
  const subscribe: Backend['subscribe'] = (queue, options, onDelivery) => {
    let held: Delivery[] = [];
    return broker.subscribe(queue, options, (delivery: Delivery) => {
      if (delivery.message.id !== 'b' || losses++ >= times) {
        held.push(delivery);
        onDelivery(delivery);
        return;
      }
      setTimeout(() => {
        for (const lost of held) {
          options.onLost?.(lost, new Error('the link is gone'));
          lost.release();
        }
        held = [];
        delivery.release();
      }, 1);
    });
  };
  return forwardTo(broker, { subscribe });
}

type Action = (letters: DeadLetters, wait: { timeoutMs?: number; signal?: AbortSignal }) => Promise<unknown>;
const actions: readonly [string, Action][] = [
  ['list', (letters, wait) => letters.list(wait)],
  ['list of what is not there', (letters, wait) => letters.list({ ids: ['none'], ...wait })],
  ['drop', (letters, wait) => letters.drop({ ids: ['none'], ...wait })],
  ['replay', (letters, wait) => letters.replay({ ids: ['none'], ...wait })],
];

test.each(actions)(
  '%s ends at its time limit, though the queue delivers the same for ever',
  async (_title, act) => {
    const broker = await withDeadLetters(['a', 'b', 'c']);
    const error = await rejection(act(deadLetters(poisoned(broker), 'q'), { timeoutMs: 300 }), 'TIMEOUT');
    expect(error.message).toContain('q.dead');
    await untilAsserted(async () =>
      expect(await broker.inspect('q.dead')).toMatchObject({ ready: 3, consumers: 0 }),
    );
  },
);

test.each(actions)(
  '%s ends with its signal, though the queue delivers the same for ever',
  async (_title, act) => {
    const broker = await withDeadLetters(['a', 'b', 'c']);
    const abort = new AbortController();
    const acting = act(deadLetters(poisoned(broker), 'q'), { signal: abort.signal });
    setTimeout(() => abort.abort(), 200);
    await rejection(acting, 'ABORTED');
    await untilAsserted(async () =>
      expect(await broker.inspect('q.dead')).toMatchObject({ ready: 3, consumers: 0 }),
    );
  },
);

test('what is lost and read again is listed once', async () => {
  const broker = await withDeadLetters(['a', 'b', 'c']);
  const { deadLetters: letters, ...scan } = await deadLetters(poisoned(broker, 5), 'q').list();
  expect(letters.map(({ id }) => id).sort()).toEqual(['a', 'b', 'c']);
  expect(scan).toEqual({ total: 3, scanned: 3 });
});

/** The same broker, whose link can be cut: until then it learns of no acknowledgement, and then has all messages again. */
function cuttable(broker: Backend): { readonly broker: Backend; readonly cut: () => void } {
  const counts = { ...broker.counts };
  const losing: (() => void)[] = [];
  const subscribe: Backend['subscribe'] = (queue, options, onDelivery) =>
    broker.subscribe(queue, options, (delivery: Delivery) => {
      let isSettled = false;
      const ack = () => {
        isSettled = true;
      };
      const { message, attempt, redelivered } = delivery;
      const seen = { message, attempt, redelivered, ack } as Delivery;
      losing.push(() => {
        if (!isSettled) options.onLost?.(seen, new Error('the link is gone'));
        delivery.release();
      });
      onDelivery(seen);
    });
  const cut = () => {
    counts.disconnected++;
    for (const lose of losing.splice(0)) lose();
  };
  return { broker: forwardTo(broker, { subscribe, counts }), cut };
}

test('a replay whose link is cut twice sends and reports each dead letter once', async () => {
  const ids = Array.from({ length: 18 }, (_, index) => `m${index}`);
  const broker = await withDeadLetters([]);
  const publish = (id: string, body: string) => {
    const sent = message({ id, body, contentType: 'application/json' });
    return broker.publish({ exchange: '', routingKey: 'q.dead' }, sent);
  };
  await publish('unfit', '{');
  for (const id of ids) await publish(id, '1');
  const link = cuttable(broker);
  const told: string[] = [];
  const result = await deadLetters(link.broker, defineQueue('q', schema)).replay({
    observe: ({ type, deadLetter: { id } }) => {
      told.push(`${type} ${id}`);
      // All of the first window, and some of the next.
      if (told.length === 16 || told.length === 17) link.cut();
    },
  });
  expect(told.sort()).toEqual(['invalid unfit', ...ids.map((id) => `replayed ${id}`)].sort());
  expect(result).toEqual({ total: 19, scanned: 19, replayed: 18, invalid: 1, failed: 0 });
  expect(await broker.inspect('q')).toMatchObject({ ready: 18 });
});

test('a replay of what is selected reads on behind what fails again for another reason', async () => {
  const broker = openMemoryBroker();
  opened.push(broker);
  const queue = defineQueue('q', schema);
  await broker.declare(queue.spec);
  const publish = (id: string, priority: number) =>
    broker.publish({ exchange: '', routingKey: 'q.dead' }, message({ id, priority }));
  for (let n = 0; n < 16; n++) await publish(`first-${n}`, 9);
  for (let n = 0; n < 4; n++) await publish(`last-${n}`, 0);
  await broker.subscribe('q', { prefetch: 100 }, (delivery) =>
    delivery.deadLetter({ code: 'failed', error: 'still no' }),
  );
  const result = await deadLetters(broker, 'q').replay({ reason: 'unknown' });
  expect(result).toMatchObject({ total: 20, replayed: 20 });
});

test.each([9e15, 0.5])(
  'a dead letter sent at the impossible time %d is listed and replayed, without that time',
  async (timestamp) => {
    const broker = await withDeadLetters([]);
    const sent = message({ id: 'a', timestamp });
    await broker.publish({ exchange: '', routingKey: 'q.dead' }, sent);
    const dead = deadLetters(broker, 'q');
    expect((await dead.list()).deadLetters).toMatchObject([{ id: 'a', message: { timestamp } }]);
    expect(await dead.replay()).toMatchObject({ replayed: 1 });
    const delivery = await new Promise<Delivery>((resolve) => {
      void broker.subscribe('q', { prefetch: 1 }, resolve);
    });
    expect(delivery.message).toMatchObject({ id: 'a', timestamp: undefined });
  },
);

test('a dead letter whose headers leave no room for a mark is replayed without it', async () => {
  const broker = await withDeadLetters([]);
  const headers = { tenant: 'x'.repeat(MAX_HEADERS_BYTES - headersBytes({ tenant: '' })) };
  await broker.publish({ exchange: '', routingKey: 'q.dead' }, message({ id: 'a', headers }));
  expect(await deadLetters(broker, 'q').replay()).toMatchObject({ replayed: 1, failed: 0 });
  const delivery = await new Promise<Delivery>((resolve) => {
    void broker.subscribe('q', { prefetch: 1 }, resolve);
  });
  expect(delivery.message.headers).toEqual(headers);
});

test('replaying to a dead-letter queue is refused', async () => {
  const broker = await withDeadLetters(['a']);
  await rejection(deadLetters(broker, 'q').replay({ to: 'q.dead' }), 'INVALID_OPTION');
  await rejection(deadLetters(broker, 'q.dead', { queue: 'q.dead' }).replay(), 'INVALID_OPTION');
});
