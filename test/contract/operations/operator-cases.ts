import { hostname } from 'node:os';
import { expect } from 'vitest';
import { z } from 'zod';
import type { BrokerEvent, QueueFigure } from '../../../src/broker.js';
import { operatorOf } from '../../../src/common/backend-of.js';
import { headersBytes, MAX_HEADERS_BYTES } from '../../../src/common/message/headers.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { moveMessages } from '../../../src/operations/move.js';
import type { PeekedMessage, PeekOptions, QueueInfo } from '../../../src/operator.js';
import { createProducer } from '../../../src/producer/producer.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { addressOf, type ContractContext, message, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const failure = { code: 'failed', error: 'no' } as const;
const FIGURES: readonly QueueFigure[] = ['unsettled', 'delayed', 'dead', 'oldestAgeMs', 'bytes', 'rates'];

/** RabbitMQ's statistics come some seconds late. */
function untilKnown(t: ContractContext, queue: string, wanted: Partial<QueueInfo>): Promise<QueueInfo> {
  return eventually(async () => {
    const info = await operatorOf(t.broker).queue(queue);
    expect(info).toMatchObject(wanted);
    return info;
  });
}

const idsIn = (messages: readonly PeekedMessage[]) => messages.map(({ message: { id } }) => id);

/** What every backend lets an operator see. */
export const operatorCases: Cases = {
  'queues are listed by name, with what they hold': async (t) => {
    const [first, second] = [await t.declare(), await t.declare({ deadLetter: false })];
    await t.publishAll(second, ['a', 'b']);
    await untilKnown(t, second.name, { ready: 2 });
    const prefix = first.name.replace(/-1$/, '');
    await untilAsserted(async () => {
      const { queues, total, parked } = await operatorOf(t.broker).queues({ match: prefix });
      expect(queues.map(({ name }) => name)).toEqual([first.name, `${first.name}.dead`, second.name]);
      expect(total).toBe(3);
      expect(parked).toBeGreaterThanOrEqual(0);
      expect(queues).toMatchObject([
        { ready: 0, consumers: 0, deadLetterQueue: `${first.name}.dead`, paused: false, internal: false },
        { ready: 0 },
        { ready: 2, consumers: 0, dead: 0, deadLetterQueue: null },
      ]);
    });
  },

  'a list may be cut, and says how many there are': async (t) => {
    const { name } = await t.declare({ deadLetter: false });
    await t.declare({ deadLetter: false });
    await t.declare({ deadLetter: false });
    const match = name.replace(/-1$/, '');
    await untilAsserted(async () => {
      const { queues, total } = await operatorOf(t.broker).queues({ match, limit: 2 });
      expect([queues.map((queue) => queue.name), total]).toEqual([[name, `${match}-2`], 3]);
    });
    expect((await operatorOf(t.broker).queues({ match: `${match}-none` })).queues).toEqual([]);
  },

  'what is handled, what waits for a retry and what is dead is counted, also in a filtered list': async (
    t,
  ) => {
    // The name leaves no room for those of wait queues, and that of the dead-letter queue is another one.
    const prefix = t.queueName();
    const deadLetter = { queue: `dead (${t.queueName()})+é` };
    const queue = t.spec({ deadLetter }, prefix.padEnd(178, '-ü'));
    await t.broker.declare(queue);
    const inbox = await t.inbox(queue, { prefetch: 3 });
    await t.publishAll(queue, ['held', 'waits', 'dead', 'ready', 'ready too']);
    const [, waits, dead] = await inbox.take(3);
    await inbox.subscription.cancel();
    await waits?.retry(3_600_000, failure);
    await dead?.deadLetter(failure);
    const counts = { ready: 2, unsettled: 1, delayed: 1, dead: 1 };
    await untilKnown(t, queue.name, counts);
    await untilAsserted(async () => {
      const { queues } = await operatorOf(t.broker).queues({ match: prefix });
      expect(queues).toMatchObject([{ name: queue.name, ...counts, deadLetterQueue: deadLetter.queue }]);
    });
    expect(await operatorOf(t.broker).queues({ match: prefix.toUpperCase() })).toMatchObject({ total: 0 });
  },

  'rates count the messages stored and settled': async (t) => {
    const [queue, still] = [await t.declare(), await t.declare()];
    const inbox = await t.inbox(queue, { prefetch: 50 });
    const operator = operatorOf(t.broker);
    await untilAsserted(async () => {
      await t.publishAll(queue, numbered(20));
      await inbox.ackNext(20);
      const { rates } = await operator.queue(queue.name);
      expect(rates?.in).toBeGreaterThan(0);
      expect(rates?.out).toBeGreaterThan(0);
    });
    await untilAsserted(async () => {
      expect(await operator.queue(still.name)).toMatchObject({ rates: { in: 0, out: 0 } });
    });
  },

  'consumers are listed by queue, with their process and what they have': async (t) => {
    const [queue, other] = [await t.declare(), await t.declare()];
    const since = Date.now();
    const inbox = await t.inbox(queue, { prefetch: 2 });
    await t.inbox(other);
    await t.publishAll(queue, numbered(3));
    const held = await inbox.take(2);
    const operator = operatorOf(t.broker);
    await untilAsserted(async () => {
      const { consumers, total, unknown } = await operator.consumers({ queue: queue.name });
      expect(total).toBe(1);
      expect(consumers).toMatchObject([
        { queue: queue.name, pid: process.pid, host: hostname(), subscriptions: 1, unsettled: 2 },
      ]);
      expect(Math.abs((consumers[0]?.since ?? 0) - since)).toBeLessThan(60_000);
      for (const reason of Object.values(unknown)) expect(reason).toMatch(/\w+ \w+/);
    });
    const names = (await operator.consumers()).consumers.map((consumer) => consumer.queue);
    expect(names).toEqual(expect.arrayContaining([queue.name, other.name]));
    for (const delivery of held) delivery.ack();
    await untilAsserted(async () => {
      const { consumers, unknown } = await operator.consumers({ queue: queue.name });
      const [{ settledAt } = { settledAt: undefined }] = consumers;
      if (settledAt === undefined) expect(unknown).toHaveProperty('settledAt');
      else expect(settledAt).toBeGreaterThanOrEqual(since);
    });
    await inbox.subscription.close();
    await untilAsserted(async () =>
      expect(await operator.consumers({ queue: queue.name })).toMatchObject({ consumers: [], total: 0 }),
    );
    await rejection(operator.consumers({ queue: t.queueName() }), 'QUEUE_MISSING');
    await rejection(operator.consumers({ limit: 0 }), 'INVALID_OPTION');
  },

  'a figure is a number, or undefined with a reason': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    for (const stats of [await operatorOf(t.broker).queue(queue.name), await t.broker.inspect(queue.name)]) {
      expect(stats.consumers).toBe(0);
      for (const figure of FIGURES) {
        if (stats[figure] === undefined) expect(stats.unknown[figure]).toMatch(/\w+ \w+/);
        else expect(stats.unknown).not.toHaveProperty(figure);
      }
    }
  },

  'peek shows the first messages and leaves them where they are': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, numbered(5));
    await t.untilCounted(queue, { ready: 5 });
    const { messages } = await operatorOf(t.broker).peek(queue.name, { limit: 3 });
    expect(messages).toMatchObject(
      numbered(3).map((id) => ({
        message: { id, contentType: 'text/plain' },
        bodyBytes: `body of ${id}`.length,
        state: 'ready',
        attempt: 1,
        dueAt: undefined,
        holder: undefined,
        heldSince: undefined,
      })),
    );
    expect(String(messages[0]?.message.body)).toMatch(/^body of m0$|^98,111/);
    expect(Buffer.from(messages[0]?.message.body ?? '').toString()).toBe('body of m0');
    await t.untilCounted(queue, { ready: 5 });
    const inbox = await t.inbox(queue);
    expect((await inbox.ackNext(5)).sort()).toEqual(numbered(5));
  },

  'peek shows every property, and what a retry has added': async (t) => {
    const queue = await t.declare();
    const sent = message({
      id: 'A',
      headers: { tenant: 'blue', size: 7, at: new Date(86_400_000), list: [1, 'x'] },
      priority: 4,
      type: 'order.placed',
      correlationId: 'C',
      timestamp: 1_700_000_000_000,
    });
    await t.broker.publish(addressOf(queue), sent);
    const inbox = await t.inbox(queue, { prefetch: 1 });
    const first = await inbox.next();
    await inbox.subscription.cancel();
    await first.retry(0, failure);
    await inbox.subscription.close();
    await t.untilCounted(queue, { ready: 1 });
    const { messages } = await operatorOf(t.broker).peek(queue.name);
    expect(messages).toMatchObject([{ attempt: 2, redelivered: true }]);
    const { headers, ...properties } = messages[0]?.message ?? message();
    expect(properties).toMatchObject({
      id: 'A',
      type: 'order.placed',
      correlationId: 'C',
      timestamp: 1_700_000_000_000,
    });
    expect(headers).toMatchObject({ tenant: 'blue', size: 7, at: new Date(86_400_000), list: [1, 'x'] });
    expect(headers['x-millrace-error']).toBe('no');
  },

  'peek cuts bodies, a text between two characters, and says how large they are': async (t) => {
    const queue = await t.declare();
    const text = 'a😀é'.repeat(50_000);
    const bytes = new Uint8Array(500_000).fill(0xff);
    await t.broker.publish(addressOf(queue), message({ id: 'text', body: text }));
    await t.broker.publish(addressOf(queue), message({ id: 'bytes', body: bytes }));
    await t.broker.publish(addressOf(queue), message({ id: 'nul', body: 'a\0b' }));
    await t.untilCounted(queue, { ready: 3 });
    const { messages } = await operatorOf(t.broker).peek(queue.name, { maxBodyBytes: 1003 });
    expect(idsIn(messages)).toEqual(['text', 'bytes', 'nul']);
    const [shownText, shownBytes, nul] = messages.map(({ message: { body } }) => Buffer.from(body));
    expect(messages.map(({ bodyBytes }) => bodyBytes)).toEqual([350_000, 500_000, 3]);
    // 1003 bytes end within a character of four.
    if (typeof messages[0]?.message.body === 'string')
      expect(shownText?.toString()).toBe(`${'a😀é'.repeat(143)}a`);
    else expect(shownText?.byteLength).toBe(1003);
    expect(shownBytes).toEqual(Buffer.alloc(1003, 0xff));
    expect(nul?.toString()).toBe('a\0b');
    const none = await operatorOf(t.broker).peek(queue.name, { maxBodyBytes: 0, limit: 1 });
    expect(none.messages).toMatchObject([{ bodyBytes: 350_000 }]);
    expect(none.messages[0]?.message.body).toHaveLength(0);
  },

  'bodies larger than a page come one by one': async (t) => {
    const queue = t.spec();
    const broker = await t.open({ maxMessageBytes: 16 * 1024 * 1024 });
    await broker.declare(queue);
    for (const id of ['a', 'b']) {
      await broker.publish(addressOf(queue), message({ id, body: new Uint8Array(9 * 1024 * 1024) }));
    }
    await untilAsserted(async () => expect(await broker.inspect(queue.name)).toMatchObject({ ready: 2 }));
    const maxBodyBytes = 16 * 1024 * 1024;
    const { messages } = await operatorOf(broker).peek(queue.name, { maxBodyBytes });
    expect(idsIn(messages)).toEqual(['a']);
    expect(messages[0]?.message.body).toHaveLength(9 * 1024 * 1024);
  },

  'peek at an empty queue shows nothing, and ends': async (t) => {
    const queue = await t.declare();
    expect(await operatorOf(t.broker).peek(queue.name)).toEqual({ messages: [], next: undefined });
  },

  'queues may have any name': async (t) => {
    const prefix = t.queueName();
    for (const end of ['/a/../b', ' %2f%', '?x=1&y#z', '"\'\\', 'ü 😀 漢', '<b>', '*.#', '..', '\u202e']) {
      const { name } = await t.declare({}).then(async () => {
        const spec = t.spec({ deadLetter: false }, prefix + end);
        await t.broker.declare(spec);
        return spec;
      });
      await t.publish(name, 'A');
      await untilKnown(t, name, { name, ready: 1 });
      expect(idsIn((await operatorOf(t.broker).peek(name)).messages)).toEqual(['A']);
      await untilAsserted(async () => {
        expect((await operatorOf(t.broker).queues({ match: name })).queues).toMatchObject([{ name }]);
      });
      await t.untilCounted(name, { ready: 1 });
      expect(await t.broker.purge(name)).toBe(1);
      await t.broker.remove(name);
      await rejection(operatorOf(t.broker).queue(name), 'QUEUE_MISSING');
    }
  },

  'a queue that does not exist is missing': async (t) => {
    const operator = operatorOf(t.broker);
    const missing = t.queueName();
    await rejection(operator.queue(missing), 'QUEUE_MISSING');
    await rejection(operator.peek(missing), 'QUEUE_MISSING');
    await rejection(t.broker.purge(missing), 'QUEUE_MISSING');
    await rejection(t.broker.remove(missing), 'QUEUE_MISSING');
  },

  'options that make no sense are refused at the door': async (t) => {
    const operator = operatorOf(t.broker);
    const { name } = await t.declare();
    for (const options of [
      { limit: 0 },
      { limit: 1001 },
      { limit: 1.5 },
      { maxBodyBytes: -1 },
      { after: 'yesterday' },
      { state: 'dead' },
      { count: 3 },
    ]) {
      await rejection(operator.peek(name, options as PeekOptions), 'INVALID_OPTION');
    }
    await rejection(operator.queues({ limit: 0 }), 'INVALID_OPTION');
    await rejection(operator.queues({ match: 5 as unknown as string }), 'INVALID_OPTION');
    await rejection(operator.queue({ name } as unknown as string), 'INVALID_OPTION');
    await rejection(operator.queues({ signal: AbortSignal.abort() }), 'ABORTED');
    await rejection(operator.peek(name, { signal: AbortSignal.abort() }), 'ABORTED');
  },

  'messages are moved in their order, with what they carry, as if they were new': async (t) => {
    const [from, to] = [await t.declare(), await t.declare()];
    await t.broker.publish(addressOf(from), message({ id: 'a', headers: { tenant: 'blue' }, type: 'order' }));
    await t.publishAll(from, ['b', 'c', 'd']);
    const inbox = await t.inbox(from, { prefetch: 1 });
    const first = await inbox.next();
    await inbox.subscription.cancel();
    await first.retry(0, failure);
    await inbox.subscription.close();
    await t.untilCounted(from, { ready: 4 });
    const told: string[] = [];
    const onMoved = (id: string) => told.push(id);
    expect(await moveMessages(t.broker, from.name, to.name, { onMoved })).toEqual({
      moved: 4,
      left: 0,
      total: 4,
    });
    expect(told.toSorted()).toEqual(['a', 'b', 'c', 'd']);
    const moved = await (await t.inbox(to)).take(4);
    expect(idsOf(moved).filter((id) => id !== 'a')).toEqual(['b', 'c', 'd']);
    const retried = moved.find(({ message: { id } }) => id === 'a');
    expect(retried).toMatchObject({ attempt: 1, message: { type: 'order', headers: { tenant: 'blue' } } });
    await t.untilCounted(from, { ready: 0 });
  },

  'a message whose headers leave no room for its history can be moved': async (t) => {
    const [from, to] = [await t.declare(), await t.declare()];
    const large = 'x'.repeat(MAX_HEADERS_BYTES - headersBytes({ small: 'kept', large: '' }));
    await t.broker.publish(addressOf(from), message({ id: 'a', headers: { small: 'kept', large } }));
    const first = await (await t.inbox(from)).next();
    await first.deadLetter(failure);
    const dead = `${from.name}.dead`;
    expect(await moveMessages(t.broker, dead, to.name)).toEqual({ moved: 1, left: 0, total: 1 });
    expect((await (await t.inbox(to)).next()).message).toMatchObject({ id: 'a', headers: { small: 'kept' } });
  },

  'of messages that are alike and were delivered before, each is moved and counted': async (t) => {
    const [from, to] = [await t.declare(), await t.declare()];
    for (let n = 0; n < 3; n++) await t.publish(from, 'twin');
    await t.untilCounted(from, { ready: 3 });
    const inbox = await t.inbox(from, { prefetch: 3 });
    await inbox.take(3);
    await inbox.subscription.close();
    await t.untilCounted(from, { ready: 3 });
    expect(await moveMessages(t.broker, from.name, to.name, { limit: 2 })).toEqual({
      moved: 2,
      left: 0,
      total: 3,
    });
    await t.untilCounted(from, { ready: 1 });
    await t.untilCounted(to, { ready: 2 });
  },

  'a move stops where the other queue is full, missing or the same, and the rest stays': async (t) => {
    const [from, small] = [await t.declare(), await t.declare({ capacity: 2 })];
    await t.publishAll(from, numbered(20));
    await t.untilCounted(from, { ready: 20 });
    await rejection(moveMessages(t.broker, from.name, from.name), 'INVALID_OPTION');
    await rejection(moveMessages(t.broker, from.name, t.queueName()), 'QUEUE_MISSING');
    await t.untilCounted(from, { ready: 20 });
    await rejection(moveMessages(t.broker, from.name, small.name, { timeoutMs: 5000 }), 'TIMEOUT');
    await untilAsserted(async () => {
      const [stayed, moved] = [await t.ready(from), await t.ready(small)];
      expect(moved).toBeGreaterThanOrEqual(2);
      expect(stayed + moved).toBe(20);
    });
  },

  'a closed broker shows nothing': async (t) => {
    const { name } = await t.declare();
    const broker = await t.open();
    const operator = operatorOf(broker);
    await broker.close();
    await rejection(operator.queues(), 'CLOSED');
    await rejection(operator.queue(name), 'CLOSED');
    await rejection(operator.peek(name), 'CLOSED');
  },
};

/** What RabbitMQ can't do. */
export const localOperatorCases: Cases = {
  'page after page shows every message once, in the order of delivery': async (t) => {
    const queue = await t.declare();
    for (const id of numbered(60)) {
      const priority = Number(id.slice(1)) % 3;
      await t.broker.publish(addressOf(queue), message({ id, priority }));
    }
    const inbox = await t.inbox(queue, { prefetch: 5 });
    await inbox.take(5);
    await inbox.subscription.close();
    await t.untilCounted(queue, { ready: 60 });
    const shown: string[] = [];
    let after: string | undefined;
    do {
      const page = await operatorOf(t.broker).peek(queue.name, { limit: 7, after });
      shown.push(...idsIn(page.messages));
      after = page.next;
    } while (after !== undefined);
    const delivered = idsOf(await (await t.inbox(queue)).take(60));
    expect(shown).toEqual(delivered);
  },

  'peek shows ready, delayed and unsettled messages, when they are due, and who handles them': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    const at = new Date(Date.now() + 3_600_000);
    await producer.send('later', { id: 'later', at: new Date(at.getTime() + 1000) });
    await producer.send('sooner', { id: 'sooner', at });
    await producer.send('held', { id: 'held' });
    const sentAt = Date.now();
    const inbox = await t.inbox(queue.name);
    await inbox.next();
    const peek = async (state: PeekOptions['state'], after?: string) =>
      operatorOf(t.broker).peek(queue.name, { state, after, limit: 1 });
    const first = await peek('delayed');
    expect(first.messages).toMatchObject([{ message: { id: 'sooner' }, state: 'delayed' }]);
    const dueAt = first.messages[0]?.dueAt ?? 0;
    expect(Math.abs(dueAt - at.getTime())).toBeLessThan(1500);
    const second = await peek('delayed', first.next);
    expect(idsIn(second.messages)).toEqual(['later']);
    const { messages: unsettled } = await peek('unsettled');
    expect(unsettled).toMatchObject([
      { message: { id: 'held' }, state: 'unsettled', attempt: 1, holder: `process ${process.pid}` },
    ]);
    expect(unsettled[0]?.heldSince).toBeGreaterThanOrEqual(sentAt);
    expect(unsettled[0]?.heldSince).toBeLessThanOrEqual(Date.now());
    expect((await peek('ready')).messages).toEqual([]);
    expect(await operatorOf(t.broker).queue(queue.name)).toMatchObject({
      ready: 0,
      delayed: 2,
      unsettled: 1,
    });
  },

  'the age of the oldest message is that of the one which has waited longest, whatever its priority': async (
    t,
  ) => {
    const queue = await t.declare();
    const now = Date.now();
    expect((await t.broker.inspect(queue.name)).oldestAgeMs).toBe(0);
    await t.broker.publish(addressOf(queue), message({ priority: 9, timestamp: now }));
    await t.broker.publish(addressOf(queue), message({ priority: 0, timestamp: now - 60_000 }));
    await t.broker.publish(addressOf(queue), message({ priority: 0, timestamp: now }));
    const { oldestAgeMs = 0 } = await t.broker.inspect(queue.name);
    expect(oldestAgeMs).toBeGreaterThanOrEqual(60_000);
    expect(oldestAgeMs).toBeLessThan(60_000 + Date.now() - now + 1000);
    const bare = await t.declare();
    await t.publish(bare, 'without a timestamp');
    const stats = await t.broker.inspect(bare.name);
    expect(stats.oldestAgeMs).toBeUndefined();
    expect(stats.unknown.oldestAgeMs).toMatch(/timestamp/);
  },

  'a paused queue takes messages and delivers none until it is resumed': async (t) => {
    const queue = await t.declare();
    const other = await t.declare();
    const operator = operatorOf(t.broker);
    const inbox = await t.inbox(queue, { prefetch: 1 });
    const others = await t.inbox(other);
    await t.publish(queue, 'before');
    const before = await inbox.next();
    await operator.pause(queue.name);
    await operator.pause(queue.name);
    before.ack();
    await t.publishAll(queue, ['a', 'b']);
    const late = await t.inbox(queue);
    // Once another queue has delivered what was sent after, this one would have.
    await t.publish(other, 'x');
    await others.next();
    expect(await operator.queue(queue.name)).toMatchObject({
      ready: 2,
      unsettled: 0,
      paused: true,
      consumers: 2,
    });
    expect((await operator.queues({ match: queue.name })).queues[0]?.paused).toBe(true);
    expect(idsIn((await operator.peek(queue.name)).messages)).toEqual(['a', 'b']);
    await operator.resume(queue.name);
    await untilAsserted(() => {
      const ids = [...inbox.deliveries, ...late.deliveries].map(({ message: { id } }) => id);
      expect(ids.sort()).toEqual(['a', 'b', 'before']);
    });
    expect((await operator.queue(queue.name)).paused).toBe(false);
    await operator.resume(queue.name);
    await rejection(operator.pause(t.queueName()), 'QUEUE_MISSING');
    await rejection(operator.resume(t.queueName()), 'QUEUE_MISSING');
  },

  'a subscription to a paused queue is an event, and a look at it is none': async (t) => {
    const events: BrokerEvent[] = [];
    const broker = await t.open({ observe: (event) => events.push(event) });
    const [paused, other] = [t.spec(), t.spec()];
    for (const spec of [paused, other]) await broker.declare(spec);
    const operator = operatorOf(broker);
    await operator.pause(paused.name);
    for (const { name } of [other, paused]) await Inbox.open(broker, name);
    expect(events).toEqual([{ type: 'queue-paused', queue: paused.name }]);
    await broker.publish(addressOf(paused), message({ id: 'a' }));
    expect(await moveMessages(broker, paused.name, other.name)).toMatchObject({ moved: 1 });
    await operator.resume(paused.name);
    await Inbox.open(broker, paused.name);
    expect(events).toHaveLength(1);
  },

  'a paused queue can be declared again, purged and removed, and its dead letters handled': async (t) => {
    const queue = await t.declare();
    const operator = operatorOf(t.broker);
    const dead = `${queue.name}.dead`;
    const inbox = await t.inbox(queue);
    await t.publish(queue, 'A');
    await (await inbox.next()).deadLetter(failure);
    await operator.pause(queue.name);
    await operator.pause(dead);
    await t.broker.declare(queue);
    expect((await operator.queue(queue.name)).paused).toBe(true);
    expect(await deadLetters(t.broker, queue.name).replay()).toMatchObject({ total: 1, replayed: 1 });
    expect(await t.broker.purge(queue.name)).toBe(1);
    await t.broker.remove(queue.name);
    // A queue that is declared again is not paused.
    await t.broker.declare(queue);
    expect((await operator.queue(queue.name)).paused).toBe(false);
  },
};
