import { expect } from 'vitest';
import type { Delivery, Failure } from '../../../src/broker.js';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import { rejection } from '../../support/rejection.js';
import { addressOf, message, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const failure: Failure = { code: 'failed', error: 'connection refused' };

/** Timers, here and at the broker, may fire a fraction of a millisecond early. */
const TIMER_GRAIN_MS = 1;

const verbs: Readonly<Record<string, (delivery: Delivery) => void | Promise<void>>> = {
  ack: (delivery) => delivery.ack(),
  release: (delivery) => delivery.release(),
  retry: (delivery) => delivery.retry(0, failure),
  postpone: (delivery) => delivery.postpone(0),
  deadLetter: (delivery) => delivery.deadLetter(failure),
};

export const settlementCases: Cases = {
  'release returns the message at no cost: redelivered, with the same attempt': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    const inbox = await t.inbox(queue);
    // More often than a quorum queue's delivery limit, which counts failures alone.
    for (let turn = 0; turn < 30; turn++) (await inbox.next()).release();
    expect(await inbox.next()).toMatchObject({ attempt: 1, redelivered: true });
  },

  'retry redelivers the message after its delay, not before, with attempt incremented': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    const inbox = await t.inbox(queue);
    const first = await inbox.next();
    const before = performance.now();
    await first.retry(400, failure);
    const second = await inbox.next();
    expect(performance.now() - before).toBeGreaterThanOrEqual(400 - TIMER_GRAIN_MS);
    expect(second).toMatchObject({ attempt: 2, redelivered: true });
    expect(second.message).toMatchObject({ id: 'a', contentType: 'text/plain' });
    expect(Buffer.from(second.message.body).toString()).toBe('body of a');
  },

  'postpone brings the message back after its delay, with the same attempt, and counts how often': async (
    t,
  ) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    const inbox = await t.inbox(queue);
    const first = await inbox.next();
    const before = performance.now();
    await first.postpone(400);
    const second = await inbox.next();
    expect(performance.now() - before).toBeGreaterThanOrEqual(400 - TIMER_GRAIN_MS);
    expect(second).toMatchObject({ attempt: 1, redelivered: true, message: { id: 'a' } });
    expect(second.message.headers['x-millrace-postpones']).toBe('1');
    await second.retry(0, failure);
    const third = await inbox.next();
    await third.postpone(0);
    const fourth = await inbox.next();
    expect(fourth).toMatchObject({ attempt: 2, redelivered: true });
    expect(fourth.message.headers['x-millrace-postpones']).toBe('2');
    expect(Buffer.from(fourth.message.body).toString()).toBe('body of a');
  },

  'a subscriber that changes the bytes of a message changes neither its next attempts nor its dead letter':
    async (t) => {
      const queue = await t.declare();
      const address = addressOf(queue);
      await t.broker.publish(address, message({ body: new Uint8Array([1, 2, 3]) }));
      const inbox = await t.inbox(queue);
      const next = async () => {
        const delivery = await inbox.next();
        const { body } = delivery.message;
        const bytes = [...(body as Uint8Array)];
        (body as Uint8Array).fill(0);
        return { delivery, bytes };
      };
      for (const settle of [verbs.release, verbs.retry, verbs.postpone, verbs.deadLetter]) {
        const { delivery, bytes } = await next();
        expect(bytes).toEqual([1, 2, 3]);
        await settle?.(delivery);
      }
      const dead = await t.inbox(`${queue.name}.dead`);
      expect([...((await dead.next()).message.body as Uint8Array)]).toEqual([1, 2, 3]);
    },

  'other messages are delivered while one waits for its retry': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['failing', 'b', 'c']);
    const inbox = await t.inbox(queue, { prefetch: 1 });
    // Longer than the case takes on any machine.
    await (await inbox.next()).retry(3_600_000, failure);
    expect(await inbox.ackNext(2)).toEqual(['b', 'c']);
    await t.publish(queue, 'd');
    expect(await inbox.ackNext(1)).toEqual(['d']);
  },

  'a long delay does not hold up a shorter one': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['long', 'short']);
    const inbox = await t.inbox(queue);
    const [long, short] = await inbox.take(2);
    // Longer than the short one takes on any machine.
    await long?.retry(60_000, failure);
    await short?.retry(100, failure);
    expect(await inbox.ackNext(1)).toEqual(['short']);
  },

  'retry without a delay redelivers at once, and each retry increments the attempt': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    const inbox = await t.inbox(queue, { prefetch: 1 });
    // More often than a quorum queue's delivery limit: a retry is no death of a process.
    for (let attempt = 1; attempt <= 25; attempt++) {
      const delivery = await inbox.next();
      expect(delivery.attempt).toBe(attempt);
      await delivery.retry(0, failure);
    }
    expect(await inbox.next()).toMatchObject({ attempt: 26, redelivered: true });
  },

  'a retried message waits even without a subscriber': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    const first = await t.inbox(queue);
    await (await first.next()).retry(100, failure);
    await first.subscription.close();
    const second = await t.inbox(queue);
    expect(await second.next()).toMatchObject({ attempt: 2 });
  },

  'inspect counts neither unsettled messages nor those that wait for a retry': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['a', 'b', 'c', 'd']);
    const inbox = await t.inbox(queue, { prefetch: 2 });
    const [a] = await inbox.take(2);
    expect(await t.broker.inspect(queue.name)).toMatchObject({ ready: 2, consumers: 1 });
    await inbox.subscription.cancel();
    await a?.retry(20_000, failure);
    expect(await t.ready(queue)).toBe(2);
  },

  'a retried message keeps its properties, and says why it was retried': async (t) => {
    const queue = await t.declare();
    const sent = message({
      headers: { tenant: 'blue' },
      correlationId: 'c1',
      replyTo: 'answers',
      timestamp: 1_700_000_000_000,
      body: Uint8Array.of(0, 1, 254, 255),
    });
    await t.broker.publish(addressOf(queue), sent);
    const inbox = await t.inbox(queue);
    await (await inbox.next()).retry(0, failure);
    const { message: again } = await inbox.next();
    expect(again).toMatchObject({
      id: sent.id,
      contentType: sent.contentType,
      correlationId: 'c1',
      replyTo: 'answers',
      timestamp: 1_700_000_000_000,
      headers: { tenant: 'blue', 'x-millrace-error': 'connection refused' },
    });
    expect(Buffer.from(again.body)).toEqual(Buffer.of(0, 1, 254, 255));
  },

  'a dead letter is the original message, and says why, when and from which queue it failed': async (t) => {
    const queue = await t.declare();
    const sent = message({
      headers: { tenant: 'blue', grüße: '世界' },
      contentType: 'application/json',
      correlationId: 'c1',
      replyTo: 'answers',
      timestamp: 1_700_000_000_000,
      body: Uint8Array.of(0, 1, 254, 255),
    });
    const before = Date.now();
    await t.broker.publish(addressOf(queue), sent);
    const inbox = await t.inbox(queue);
    await (await inbox.next()).retry(0, { code: 'failed', error: 'first error: ünicode 👩‍👩‍👧' });
    await (await inbox.next()).deadLetter({ code: 'rejected', error: 'last error' });
    const { message: dead } = await (await t.inbox(`${queue.name}.dead`)).next();
    expect(dead).toMatchObject({
      id: sent.id,
      contentType: 'application/json',
      correlationId: 'c1',
      replyTo: 'answers',
      timestamp: 1_700_000_000_000,
      headers: { tenant: 'blue', grüße: '世界' },
    });
    expect(Buffer.from(dead.body)).toEqual(Buffer.of(0, 1, 254, 255));
    const history = deadLetterHistory(dead.headers);
    expect(history).toEqual({
      reason: 'rejected',
      error: 'last error',
      firstError: 'first error: ünicode 👩‍👩‍👧',
      attempts: 2,
      failures: [
        expect.objectContaining({ attempt: 1, error: 'first error: ünicode 👩‍👩‍👧' }),
        expect.objectContaining({ attempt: 2, error: 'last error' }),
      ],
      stack: undefined,
      queue: queue.name,
      deadAt: expect.any(String),
    });
    expect(Date.parse(history?.deadAt ?? '')).toBeGreaterThanOrEqual(before);
    expect(Date.parse(history?.deadAt ?? '')).toBeLessThanOrEqual(Date.now());
  },

  'a dead letter is stored when deadLetter resolves, and is gone from its queue': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    const inbox = await t.inbox(queue);
    await (await inbox.next()).deadLetter(failure);
    expect(await t.ready(`${queue.name}.dead`)).toBe(1);
    await inbox.subscription.close();
    expect(await t.ready(queue)).toBe(0);
  },

  'dead letters go to the queue that the definition names': async (t) => {
    const morgue = t.queueName();
    const queue = await t.declare({ deadLetter: morgue });
    await t.publish(queue, 'a');
    await (await (await t.inbox(queue)).next()).deadLetter(failure);
    expect((await (await t.inbox(morgue)).next()).message.id).toBe('a');
  },

  'a dead letter of a queue without a dead-letter queue is dropped': async (t) => {
    const queue = await t.declare({ deadLetter: false });
    await t.publishAll(queue, ['a', 'b']);
    const inbox = await t.inbox(queue);
    await (await inbox.next()).deadLetter(failure);
    expect(await inbox.ackNext(1)).toEqual(['b']);
    await inbox.subscription.close();
    expect(await t.ready(queue)).toBe(0);
    await rejection(t.broker.inspect(`${queue.name}.dead`), 'QUEUE_MISSING');
  },

  'a dead-letter queue that was removed is created again for the next dead letter': async (t) => {
    const queue = await t.declare();
    const dead = `${queue.name}.dead`;
    await t.publishAll(queue, ['a', 'b']);
    for (const delivery of await (await t.inbox(queue)).take(2)) {
      await t.broker.remove(dead);
      await delivery.deadLetter(failure);
      expect(await t.ready(dead)).toBe(1);
    }
    expect(await (await t.inbox(dead)).ackNext(1)).toEqual(['b']);
  },

  'a dead letter that waits for room is stored when its full dead-letter queue is removed': async (t) => {
    const queue = await t.declare({ deadLetter: { capacity: 2 } });
    const dead = `${queue.name}.dead`;
    await t.fill(dead);
    await t.publish(queue, 'a');
    const delivery = await (await t.inbox(queue)).next();
    let isStored = false;
    const storing = delivery.deadLetter(failure).then(() => {
      isStored = true;
    });
    await rejection(t.publish(dead, 'probe', { noWait: true }), 'FULL');
    expect(isStored).toBe(false);
    await t.broker.remove(dead);
    await storing;
    expect(await (await t.inbox(dead)).ackNext(1)).toEqual(['a']);
  },

  'an error text of any length and script fits into the headers': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    const inbox = await t.inbox(queue);
    const error = '👩‍👩‍👧 世界\n'.repeat(20_000);
    await (await inbox.next()).retry(0, { code: 'failed', error });
    await (await inbox.next()).deadLetter({ code: 'failed', error });
    const dead = await (await t.inbox(`${queue.name}.dead`)).next();
    expect(deadLetterHistory(dead.message.headers)?.error.slice(0, 12)).toBe(error.slice(0, 12));
  },

  'a delivery is settled once: a second settlement does nothing, whatever it is': async (t) => {
    const queue = await t.declare();
    const inbox = await t.inbox(queue, { prefetch: 1 });
    const morgue = await t.inbox(`${queue.name}.dead`);
    for (const [firstName, first] of Object.entries(verbs)) {
      for (const [secondName, second] of Object.entries(verbs)) {
        const id = `${firstName} then ${secondName}`;
        await t.publish(queue, id);
        const delivery = await inbox.next();
        expect(delivery.message.id).toBe(id);
        const settling = first(delivery);
        await second(delivery);
        await settling;
        await second(delivery);
        if (firstName === 'release' || firstName === 'retry' || firstName === 'postpone') {
          const again = await inbox.next();
          expect(again.message.id).toBe(id);
          expect(again.attempt).toBe(firstName === 'retry' ? 2 : 1);
          again.ack();
        }
        if (firstName === 'deadLetter') expect(await morgue.ackNext(1)).toEqual([id]);
      }
    }
    await Promise.all([inbox.subscription.close(), morgue.subscription.close()]);
    expect(await t.ready(queue)).toBe(0);
    expect(await t.ready(`${queue.name}.dead`)).toBe(0);
  },

  'many retries and dead letters at once are all stored': async (t) => {
    const queue = await t.declare();
    const ids = numbered(200);
    await Promise.all(ids.map((id) => t.publish(queue, id)));
    const inbox = await t.inbox(queue, { prefetch: 200 });
    const deliveries = await inbox.take(200);
    await Promise.all(
      deliveries.map((delivery, index) =>
        index % 2 === 0 ? delivery.retry(0, failure) : delivery.deadLetter(failure),
      ),
    );
    const again = await inbox.take(100);
    for (const delivery of again) delivery.ack();
    expect(again.every((delivery) => delivery.attempt === 2)).toBe(true);
    const dead = await (await t.inbox(`${queue.name}.dead`)).ackNext(100);
    expect(new Set([...again.map((delivery) => delivery.message.id), ...dead])).toEqual(new Set(ids));
  },
};
