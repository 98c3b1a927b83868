import { expect } from 'vitest';
import type { Destination, ExchangeType, QueueSpec } from '../../../src/broker.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { isQueueError, type QueueError } from '../../../src/errors.js';
import { defineExchange, type Exchange, type ExchangeOptions } from '../../../src/exchange.js';
import type { QueueOptions } from '../../../src/queue.js';
import { eventually } from '../../support/eventually.js';
import { rejection, watch } from '../../support/rejection.js';
import { type ContractContext, message, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

function exchange(t: ContractContext, type: ExchangeType, options?: ExchangeOptions): Exchange {
  return defineExchange(t.queueName(), { type, ...options });
}

/** A new queue that is bound to the exchange with each of the keys. */
async function bound(
  t: ContractContext,
  to: Exchange,
  keys: readonly string[],
  options?: QueueOptions,
): Promise<QueueSpec> {
  const spec = t.spec({
    ...options,
    bindings: keys.map((routingKey) => ({ exchange: to, routingKey })),
  });
  await t.broker.declare(spec);
  return spec;
}

/** Publishes a message whose id is its routing key; whether a queue took it. */
function publishTo(
  t: ContractContext,
  { name }: Exchange,
  routingKey: string,
  id = routingKey,
): Promise<boolean> {
  return t.broker.publish({ exchange: name, routingKey }, message({ id }), { mandatory: false });
}

async function idsIn(t: ContractContext, queue: QueueSpec, count: number): Promise<string[]> {
  const inbox = await t.inbox(queue);
  const ids = await inbox.ackNext(count);
  await inbox.subscription.close();
  await t.untilCounted(queue, { ready: 0 });
  return ids;
}

/** Publishes until something hinders it, and gives the error: a queue may take more than its capacity before it refuses. */
async function untilRefused(publish: (id: string) => Promise<unknown>): Promise<QueueError> {
  for (const id of numbered(500, 'more')) {
    try {
      await publish(id);
    } catch (error) {
      if (isQueueError(error)) return error;
      throw error;
    }
  }
  throw new Error('500 messages were stored where there was no room');
}

const failure = { code: 'failed', error: 'no luck' } as const;

export const exchangeCases: Cases = {
  'a topic exchange gives a copy to each queue with a pattern that matches': async (t) => {
    const topic = exchange(t, 'topic');
    const orders = await bound(t, topic, ['order.*']);
    const placed = await bound(t, topic, ['*.placed', 'order.#']);
    const others = await bound(t, topic, ['customer.#']);
    expect(await publishTo(t, topic, 'order.placed')).toBe(true);
    expect(await publishTo(t, topic, 'order.line.added')).toBe(true);
    expect(await publishTo(t, topic, 'customer')).toBe(true);
    expect(await idsIn(t, orders, 1)).toEqual(['order.placed']);
    expect(await idsIn(t, placed, 2)).toEqual(['order.placed', 'order.line.added']);
    expect(await idsIn(t, others, 1)).toEqual(['customer']);
  },

  'a direct exchange compares the whole key, and a fanout exchange none': async (t) => {
    const direct = exchange(t, 'direct');
    const fanout = exchange(t, 'fanout');
    const errors = await bound(t, direct, ['error', 'a.*']);
    const all = await bound(t, fanout, ['ignored']);
    expect(await publishTo(t, direct, 'error')).toBe(true);
    expect(await publishTo(t, direct, 'a.b')).toBe(false);
    expect(await publishTo(t, direct, 'a.*')).toBe(true);
    expect(await publishTo(t, fanout, 'whatever')).toBe(true);
    expect(await idsIn(t, errors, 2)).toEqual(['error', 'a.*']);
    expect(await idsIn(t, all, 1)).toEqual(['whatever']);
  },

  'the bindings of a queue are listed while they last, where the backend can list them': async (t) => {
    const topic = exchange(t, 'topic');
    const fanout = exchange(t, 'fanout');
    const bindings = [
      { exchange: topic, routingKey: 'order.*' },
      { exchange: topic, routingKey: 'ä.\u{1F600} /#?' },
      { exchange: fanout, routingKey: '' },
    ];
    const listed = async (queue: string) =>
      (await t.broker.listBindings(queue))?.map(({ exchange, routingKey }) => [exchange, routingKey]).sort();
    const expected = bindings.map(({ exchange, routingKey }) => [exchange.name, routingKey]).sort();
    const spec = t.spec({ bindings });
    await t.broker.declare(spec);
    const first = await listed(spec.name);
    // RabbitMQ, without its management API.
    if (first === undefined) return;
    expect(first).toEqual(expected);
    await t.broker.declare({ ...spec, bindings: [], unbind: spec.bindings?.slice(0, 2) });
    expect(await listed(spec.name)).toEqual(expected.filter(([name]) => name === fanout.name));
    const unbound = t.spec();
    await t.broker.declare(unbound);
    expect(await listed(unbound.name)).toEqual([]);
    await t.broker.remove(spec.name);
    await rejection(t.broker.listBindings(spec.name), 'QUEUE_MISSING');
    await t.broker.declare({ ...spec, bindings: [] });
    expect(await listed(spec.name)).toEqual([]);
  },

  'a queue that changes its pattern gets events that match both exactly once': async (t) => {
    const topic = exchange(t, 'topic');
    const second = t.spec({
      bindings: [{ exchange: topic, routingKey: '*.b' }],
      unbind: [{ exchange: topic, routingKey: 'a.*' }],
    });
    const first = { ...second, bindings: second.unbind, unbind: second.bindings };
    await t.broker.declare(first);
    const ids = numbered(60, 'moved');
    const publishing = Promise.all(ids.map((id) => publishTo(t, topic, 'a.b', id)));
    for (let change = 0; change < 10; change++) await t.broker.declare(change % 2 === 0 ? second : first);
    expect(await publishing).toEqual(ids.map(() => true));
    expect(await idsIn(t, first, ids.length)).toEqual(ids);
  },

  'a routing key may have 255 bytes, and a queue the name of an exchange': async (t) => {
    const topic = exchange(t, 'topic');
    const queue = {
      ...t.spec({ bindings: [{ exchange: topic, routingKey: '#.\u{1F600}' }] }),
      name: topic.name,
    };
    await t.broker.declare(queue);
    const key = `${'x'.repeat(250)}.\u{1F600}`;
    expect(Buffer.byteLength(key)).toBe(255);
    expect(await publishTo(t, topic, key, 'long')).toBe(true);
    await t.broker.publish({ exchange: '', routingKey: queue.name }, message({ id: 'by name' }));
    expect(await idsIn(t, queue, 2)).toEqual(['long', 'by name']);
  },

  'a queue that several bindings lead to gets one copy': async (t) => {
    const topic = exchange(t, 'topic');
    const queue = await bound(t, topic, ['#', '*', 'a', 'a.#']);
    await publishTo(t, topic, 'a');
    await publishTo(t, topic, 'b');
    expect(await idsIn(t, queue, 2)).toEqual(['a', 'b']);
  },

  'a message that no queue is bound for is UNROUTABLE, and false where that is no error': async (t) => {
    const topic = exchange(t, 'topic');
    await t.broker.declareExchange(topic.spec);
    const to: Destination = { exchange: topic.name, routingKey: 'nobody' };
    const error = await rejection(t.broker.publish(to, message()), 'UNROUTABLE');
    expect(error.message).toContain(topic.name);
    expect(await t.broker.publish(to, message(), { mandatory: false })).toBe(false);
    const queue = await bound(t, topic, ['nobody']);
    expect(await t.broker.publish(to, message({ id: 'somebody' }))).toBe(true);
    expect(await idsIn(t, queue, 1)).toEqual(['somebody']);
  },

  'a publish to a queue or an exchange that is not there is false where that is no error': async (t) => {
    const name = t.queueName();
    const ways: Destination[] = [
      { exchange: '', routingKey: name },
      { exchange: name, routingKey: 'x' },
    ];
    for (const to of ways) expect(await t.broker.publish(to, message(), { mandatory: false })).toBe(false);
  },

  'what no binding takes goes to the alternate exchange': async (t) => {
    const rest = exchange(t, 'fanout');
    const topic = exchange(t, 'topic', { alternate: rest });
    const kept = await bound(t, rest, ['']);
    const orders = await bound(t, topic, ['order.*']);
    expect(await publishTo(t, topic, 'order.placed')).toBe(true);
    expect(await publishTo(t, topic, 'customer.new')).toBe(true);
    expect(await idsIn(t, orders, 1)).toEqual(['order.placed']);
    const delivery = await (await t.inbox(kept)).next();
    expect(delivery.message).toMatchObject({
      id: 'customer.new',
      origin: { exchange: topic.name, routingKey: 'customer.new' },
    });
  },

  'exchanges that are alternates of each other send a message round once': async (t) => {
    const [one, two] = [t.queueName(), t.queueName()];
    await t.broker.declareExchange(defineExchange(one, { alternate: defineExchange(two) }).spec);
    await t.broker.declareExchange(defineExchange(two, { alternate: defineExchange(one) }).spec);
    const publish = (options?: { mandatory: boolean }) =>
      t.broker.publish({ exchange: one, routingKey: 'a' }, message({ id: 'a' }), options);
    expect(await publish({ mandatory: false })).toBe(false);
    await rejection(publish(), 'UNROUTABLE');
    const spec = t.spec({ bindings: [{ exchange: two, routingKey: 'a' }] });
    await t.broker.declare(spec);
    expect(await publish()).toBe(true);
    expect(await idsIn(t, spec, 1)).toEqual(['a']);
  },

  'an alternate exchange without a queue is as good as none': async (t) => {
    const rest = exchange(t, 'fanout');
    await t.broker.declareExchange(rest.spec);
    const topic = exchange(t, 'topic', { alternate: rest });
    await t.broker.declareExchange(topic.spec);
    expect(await publishTo(t, topic, 'x')).toBe(false);
  },

  'a queue that is bound late gets nothing old': async (t) => {
    const topic = exchange(t, 'topic');
    await bound(t, topic, ['#']);
    await publishTo(t, topic, 'early');
    const late = await bound(t, topic, ['#']);
    await publishTo(t, topic, 'late');
    expect(await idsIn(t, late, 1)).toEqual(['late']);
  },

  'a binding that a definition names in `unbind` is gone, and the others stay': async (t) => {
    const topic = exchange(t, 'topic');
    const queue = await bound(t, topic, ['a', 'b']);
    const unbind = [{ exchange: topic, routingKey: 'a' }];
    await t.broker.declare({
      ...t.spec({ bindings: [{ exchange: topic, routingKey: 'b' }], unbind }, queue.name),
    });
    expect(await publishTo(t, topic, 'a')).toBe(false);
    expect(await publishTo(t, topic, 'b')).toBe(true);
    await t.broker.declare(t.spec({ unbind }, queue.name));
    expect(await idsIn(t, queue, 1)).toEqual(['b']);
  },

  'another declaration of a queue leaves its bindings alone': async (t) => {
    const topic = exchange(t, 'topic');
    const queue = await bound(t, topic, ['a']);
    await t.broker.declare(t.spec({}, queue.name));
    expect(await publishTo(t, topic, 'a')).toBe(true);
  },

  'a removed queue takes its bindings with it, and gets them back when it is declared': async (t) => {
    const topic = exchange(t, 'topic');
    const queue = await bound(t, topic, ['a']);
    await t.broker.remove(queue.name);
    expect(await publishTo(t, topic, 'a')).toBe(false);
    await t.broker.declare(t.spec({}, queue.name));
    expect(await publishTo(t, topic, 'a')).toBe(false);
    await t.broker.declare(queue);
    expect(await publishTo(t, topic, 'a')).toBe(true);
  },

  'an exchange that is there with other properties is QUEUE_MISMATCH, and nothing is bound': async (t) => {
    const topic = exchange(t, 'topic');
    const queue = await bound(t, topic, ['a']);
    const direct = defineExchange(topic.name, { type: 'direct' });
    const error = await rejection(t.broker.declareExchange(direct.spec), 'QUEUE_MISMATCH');
    expect(error.message).toContain(topic.name);
    const other = t.spec({ bindings: [{ exchange: direct, routingKey: 'a' }] });
    await rejection(t.broker.declare(other), 'QUEUE_MISMATCH');
    const asItIs = defineExchange(topic.name, { type: 'direct', declare: 'if-missing' });
    await t.broker.declareExchange(asItIs.spec);
    await publishTo(t, topic, 'a');
    expect(await idsIn(t, queue, 1)).toEqual(['a']);
  },

  'a queue may have many bindings, and one that cannot be made fails the declaration': async (t) => {
    const topic = exchange(t, 'topic');
    const keys = numbered(30, 'key');
    const spec = await bound(t, topic, keys);
    for (const key of keys) expect(await publishTo(t, topic, key)).toBe(true);
    expect(await idsIn(t, spec, 30)).toEqual(keys);
    const missing = defineExchange(t.queueName(), { declare: 'existing' });
    await rejection(
      t.broker.declare(
        t.spec({
          bindings: [...keys, 'last'].map((routingKey) => ({
            exchange: routingKey === 'key20' ? missing : topic,
            routingKey,
          })),
        }),
      ),
      'QUEUE_MISSING',
    );
  },

  'a removed exchange leaves its queues, which are bound again when they are declared': async (t) => {
    const topic = exchange(t, 'topic');
    const spec = await bound(t, topic, ['a', 'b']);
    expect(await publishTo(t, topic, 'a')).toBe(true);
    const [, other = t.broker] = await t.connections(2);
    await other.removeExchange(topic.name);
    await rejection(other.removeExchange(topic.name), 'QUEUE_MISSING');
    await rejection(
      t.broker.declareExchange({ ...topic.spec, declare: 'existing', name: t.queueName() }),
      'QUEUE_MISSING',
    );
    expect(await t.ready(spec)).toBe(1);
    // It may be of any other kind now.
    const fanout = defineExchange(topic.name, { type: 'fanout' });
    const rebound = { ...spec, bindings: [{ exchange: fanout.spec, routingKey: '', arguments: {} }] };
    await other.declare(rebound);
    expect(await publishTo(t, topic, 'anything')).toBe(true);
    await other.removeExchange(topic.name);
    await other.declare(rebound);
    expect(await publishTo(t, topic, 'once more')).toBe(true);
    expect(await idsIn(t, spec, 3)).toEqual(['a', 'anything', 'once more']);
  },

  'an exchange that belongs to the broker is not removed': async (t) => {
    for (const name of ['', 'amq.topic', 'amq.made-up']) {
      const error = await rejection(t.broker.removeExchange(name), 'INVALID_OPTION');
      expect(error.message).toMatch(/belongs to the broker/);
    }
  },

  'a missing exchange that others declare is QUEUE_MISSING': async (t) => {
    const missing = exchange(t, 'topic', { declare: 'existing' });
    const error = await rejection(t.broker.declareExchange(missing.spec), 'QUEUE_MISSING');
    expect(error.message).toContain(missing.name);
    const queue = t.spec({ bindings: [{ exchange: missing.name, routingKey: 'a' }] });
    await rejection(t.broker.declare(queue), 'QUEUE_MISSING');
    await t.broker.declareExchange(defineExchange(missing.name, { declare: 'if-missing' }).spec);
    await t.broker.declare(queue);
    expect(await publishTo(t, missing, 'a')).toBe(true);
  },

  'the exchanges that RabbitMQ has by itself are there on all backends': async (t) => {
    const key = t.queueName();
    for (const name of ['amq.direct', 'amq.topic', 'amq.fanout']) {
      const queue = t.spec({ bindings: [{ exchange: name, routingKey: key }] });
      await t.broker.declare(queue);
      const id = `${name} ${key}`;
      await t.broker.publish({ exchange: name, routingKey: key }, message({ id }));
      // What others publish to a fanout exchange that all share gets here, too.
      const inbox = await t.inbox(queue);
      let [got] = await inbox.ackNext(1);
      while (got !== id) [got] = await inbox.ackNext(1);
      await inbox.subscription.close();
      await t.broker.remove(queue.name);
    }
  },

  'a delivery tells where it was published, also after a retry and as a dead letter': async (t) => {
    const topic = exchange(t, 'topic');
    const queue = await bound(t, topic, ['order.#']);
    const origin = { exchange: topic.name, routingKey: 'order.placed' };
    await publishTo(t, topic, 'order.placed', 'm1');
    const inbox = await t.inbox(queue);
    const first = await inbox.next();
    expect(first.message.origin).toEqual(origin);
    await first.retry(0, failure);
    const second = await inbox.next();
    expect(second).toMatchObject({ attempt: 2, message: { id: 'm1', origin } });
    await second.retry(50, failure);
    const third = await inbox.next();
    expect(third).toMatchObject({ attempt: 3, message: { id: 'm1', origin } });
    await third.deadLetter(failure);
    const dead = await (await t.inbox(`${queue.name}.dead`)).next();
    expect(dead.message).toMatchObject({ id: 'm1', origin });
  },

  'a message to a queue by name has no other origin': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'plain');
    expect((await (await t.inbox(queue)).next()).message.origin).toBeUndefined();
  },

  'a retry and a replayed dead letter go to their own queue alone, and keep their origin': async (t) => {
    const topic = exchange(t, 'topic');
    const failing = await bound(t, topic, ['order.*']);
    const other = await bound(t, topic, ['order.*']);
    await publishTo(t, topic, 'order.placed', 'm1');
    const inbox = await t.inbox(failing);
    await (await inbox.next()).retry(10, failure);
    await (await inbox.next()).deadLetter(failure);
    const { replayed } = await deadLetters(t.broker, failing.name).replay();
    expect(replayed).toBe(1);
    const again = await inbox.next();
    expect(again).toMatchObject({
      attempt: 1,
      message: { id: 'm1', origin: { exchange: topic.name, routingKey: 'order.placed' } },
    });
    expect(Object.keys(again.message.headers).filter((name) => /reason|attempt|error/.test(name))).toEqual(
      [],
    );
    again.ack();
    expect(await idsIn(t, other, 1)).toEqual(['m1']);
  },

  'a pattern with more than two `#`, which RabbitMQ refuses, is refused everywhere': async (t) => {
    const topic = exchange(t, 'topic');
    const define = async () => t.spec({ bindings: [{ exchange: topic, routingKey: '#.a.#.b.#' }] });
    await rejection(define(), 'INVALID_OPTION');
    await bound(t, topic, ['#.a.#']);
  },

  'order is kept in each queue of a fan-out': async (t) => {
    const topic = exchange(t, 'topic');
    const queues = [await bound(t, topic, ['#']), await bound(t, topic, ['a.*'])];
    const ids = numbered(200);
    const inboxes = await Promise.all(queues.map((queue) => t.inbox(queue, { prefetch: 7 })));
    await Promise.all(ids.map((id) => publishTo(t, topic, 'a.b', id)));
    for (const inbox of inboxes) expect(await inbox.ackNext(ids.length)).toEqual(ids);
  },

  'each copy of a message is settled by itself': async (t) => {
    const topic = exchange(t, 'topic');
    const queues = [await bound(t, topic, ['#']), await bound(t, topic, ['#'])];
    await publishTo(t, topic, 'a');
    const [one, two] = await Promise.all(queues.map((queue) => t.inbox(queue)));
    (await one?.next())?.ack();
    const second = await two?.next();
    second?.release();
    expect(await two?.next()).toMatchObject({ redelivered: true, message: { id: 'a' } });
  },

  'properties arrive in each copy as they were sent': async (t) => {
    const fanout = exchange(t, 'fanout');
    const { queueType } = t.subject;
    const options = queueType === 'classic' ? { maxPriority: 31 } : {};
    const queues = [await bound(t, fanout, [''], options), await bound(t, fanout, [''], options)];
    const sent = message({
      id: 'all',
      headers: { tenant: 'blue' },
      priority: 9,
      correlationId: 'c',
      body: 'é',
    });
    await t.broker.publish({ exchange: fanout.name, routingKey: 'k' }, sent);
    for (const queue of queues) {
      const { message: received } = await (await t.inbox(queue)).next();
      expect(received).toMatchObject({ id: 'all', priority: 9, correlationId: 'c' });
      expect(received.headers).toMatchObject({ tenant: 'blue' });
      expect(Buffer.from(received.body).toString()).toBe('é');
    }
  },

  'a fan-out to a full queue is stored nowhere, or said to be uncertain; with room it goes on': async (t) => {
    const fanout = exchange(t, 'fanout');
    const full = await bound(t, fanout, [''], { capacity: 2 });
    const free = await bound(t, fanout, ['']);
    const to = { exchange: fanout.name, routingKey: '' };
    // A local broker waits for room, and would do so for ever; RabbitMQ answers, however long that takes.
    const { atomicFanOut } = t.subject;
    if (atomicFanOut) await t.fill(full);
    let sent = 0;
    const refused = await untilRefused((id) => {
      sent++;
      return t.broker.publish(to, message({ id }), { timeoutMs: atomicFanOut ? 300 : 60_000 });
    });
    // Only a broker that knows that it is nowhere says so. The others have one copy, and not several of it.
    expect(['TIMEOUT', 'UNCONFIRMED']).toContain(refused.code);
    const stored = refused.code === 'TIMEOUT' ? sent - 1 : sent;
    await t.untilCounted(free, { ready: stored });
    await rejection(t.broker.publish(to, message(), { noWait: true }), 'FULL', 'UNCONFIRMED');
    await t.broker.purge(full.name);
    await t.untilCounted(full, { ready: 0 });
    await t.broker.purge(free.name);
    await t.broker.publish(to, message({ id: 'again' }));
    expect(await idsIn(t, full, 1)).toEqual(['again']);
    expect(await idsIn(t, free, 1)).toEqual(['again']);
  },

  'a full queue holds up its own exchange only': async (t) => {
    const fanout = exchange(t, 'fanout');
    const full = await bound(t, fanout, [''], { capacity: 1 });
    const stuck = watch(
      untilRefused((id) =>
        t.broker.publish({ exchange: fanout.name, routingKey: full.name }, message({ id }), {
          timeoutMs: 3000,
        }),
      ),
    );
    const other = exchange(t, 'fanout');
    const free = await bound(t, other, ['']);
    for (const id of numbered(20)) await publishTo(t, other, '', id);
    expect(await idsIn(t, free, 20)).toEqual(numbered(20));
    await eventually(() => stuck.state === 'resolved');
  },
};

/** What local brokers promise beyond RabbitMQ: they know whether a message is in all its queues, or in none. */
export const atomicFanOutCases: Cases = {
  'a message that waits for room is stored once the full queue loses its binding': async (t) => {
    const topic = exchange(t, 'topic');
    const bindings = [{ exchange: topic, routingKey: 'a' }];
    const full = await t.declare({ bindings, capacity: 1 });
    const roomy = await t.declare({ bindings });
    await t.publish(full, 'fills it');
    const publishing = publishTo(t, topic, 'a', 'waits');
    const publish = watch(publishing);
    expect(await t.ready(roomy)).toBe(0);
    expect(publish.state).toBe('pending');
    await t.broker.declare(t.spec({ unbind: bindings, capacity: 1 }, full.name));
    expect(await publishing).toBe(true);
    expect(await idsIn(t, roomy, 1)).toEqual(['waits']);
    expect(await t.ready(full)).toBe(1);
  },

  'a fan-out waits until all its queues have room, and is then in all of them at once': async (t) => {
    const fanout = exchange(t, 'fanout');
    const queues = [
      await bound(t, fanout, [''], { capacity: 1 }),
      await bound(t, fanout, [''], { capacity: 1 }),
      await bound(t, fanout, ['']),
    ];
    const [one, two, free] = queues as [QueueSpec, QueueSpec, QueueSpec];
    await t.fill(one);
    await t.fill(two);
    const publishing = publishTo(t, fanout, '', 'late');
    const publish = watch(publishing);
    await t.broker.purge(one.name);
    expect([publish.state, await t.ready(one), await t.ready(free)]).toEqual(['pending', 0, 0]);
    await t.broker.purge(two.name);
    expect(await publishing).toBe(true);
    for (const queue of queues) expect(await t.ready(queue)).toBe(1);
  },

  'fan-outs that wait keep their order, and a later one to other queues passes them': async (t) => {
    const topic = exchange(t, 'topic');
    const full = await bound(t, topic, ['a', 'both'], { capacity: 1 });
    const free = await bound(t, topic, ['b', 'both']);
    await t.fill(full);
    const first = publishTo(t, topic, 'both', 'first');
    const second = publishTo(t, topic, 'b', 'second');
    const third = publishTo(t, topic, 'a', 'third');
    const other = exchange(t, 'fanout');
    const aside = await bound(t, other, ['']);
    await publishTo(t, other, '', 'aside');
    expect(await idsIn(t, aside, 1)).toEqual(['aside']);
    const inbox = await t.inbox(full);
    await inbox.ackNext(1);
    expect(await inbox.ackNext(2)).toEqual(['first', 'third']);
    await Promise.all([first, second, third]);
    expect(await idsIn(t, free, 2)).toEqual(['first', 'second']);
  },

  'a fan-out that gives up was stored nowhere, and those behind it go on': async (t) => {
    const topic = exchange(t, 'topic');
    const full = await bound(t, topic, ['a'], { capacity: 1 });
    const free = await bound(t, topic, ['a', 'b']);
    await t.fill(full);
    const abort = new AbortController();
    const to = (routingKey: string) => ({ exchange: topic.name, routingKey });
    const first = t.broker.publish(to('a'), message({ id: 'given up' }), { signal: abort.signal });
    const second = t.broker.publish(to('b'), message({ id: 'behind' }));
    const behind = watch(second);
    expect(await t.ready(free)).toBe(0);
    expect(behind.state).toBe('pending');
    abort.abort();
    await rejection(first, 'ABORTED');
    expect(await second).toBe(true);
    expect(await idsIn(t, free, 1)).toEqual(['behind']);
  },

  'a fan-out that waits for a queue which is removed goes on without it': async (t) => {
    const fanout = exchange(t, 'fanout');
    const full = await bound(t, fanout, [''], { capacity: 1 });
    const free = await bound(t, fanout, ['']);
    await t.fill(full);
    const publishing = publishTo(t, fanout, '', 'late');
    await t.broker.remove(full.name);
    expect(await publishing).toBe(true);
    expect(await idsIn(t, free, 1)).toEqual(['late']);
  },

  'a fan-out that waits at an exchange which is removed was stored nowhere': async (t) => {
    const fanout = exchange(t, 'fanout');
    const full = await bound(t, fanout, [''], { capacity: 1 });
    const free = await bound(t, fanout, ['']);
    await t.fill(full);
    const publishing = publishTo(t, fanout, '', 'late');
    const [, other = t.broker] = await t.connections(2);
    await other.removeExchange(fanout.name);
    expect(await publishing).toBe(false);
    expect(await t.ready(free)).toBe(0);
  },

  'an exchange of type headers is refused with a sentence': async (t) => {
    const headers = exchange(t, 'headers');
    const error = await rejection(t.broker.declareExchange(headers.spec), 'INVALID_OPTION');
    expect(error.message).toMatch(/only RabbitMQ/);
    const queue = t.spec({ bindings: [{ exchange: headers }] });
    await rejection(t.broker.declare(queue), 'INVALID_OPTION');
    await rejection(t.broker.inspect(queue.name), 'QUEUE_MISSING');
  },
};
