import { expect } from 'vitest';
import { z } from 'zod';
import { onSettled, type SettleTrace } from '../../../src/common/hooks/tracing.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { receive } from '../../../src/consumer/receive.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { createProducer } from '../../../src/producer/producer.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { recordWarnings } from '../../support/warnings.js';
import type { ContractContext } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

async function until(time: number): Promise<void> {
  await eventually(() => Date.now() > time);
}

async function deadLettersOf(t: ContractContext, queue: string, count: number) {
  return eventually(async () => {
    const { deadLetters: list } = await deadLetters(t.broker, queue).list();
    return list.length === count && list;
  });
}

/** Messages that become worthless. */
export const expiryCases: Cases = {
  'a message that expires before it is handled is a dead letter that says so': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    const { id } = await producer.send('late', { expiresInMs: 1 });
    await until(Date.now() + 5);
    const handled: string[] = [];
    const consumer = createConsumer(t.broker, queue, (value) => void handled.push(value));
    await consumer.start();
    await producer.send('in time', { expiresInMs: 600_000 });
    await eventually(() => consumer.counts.handled === 1);
    expect(handled).toEqual(['in time']);
    const [dead] = await deadLettersOf(t, queue.name, 1);
    expect(dead).toMatchObject({ id, reason: 'expired', queue: queue.name });
    expect(dead?.message.expiresAt).toBeUndefined();
    await consumer.stop();
  },

  'a message that expires is dropped where its queue says so': async (t) => {
    recordWarnings('MILLRACE_EXPIRED');
    const queue = t.define(z.string(), { onExpired: 'drop' });
    const producer = createProducer(t.broker, queue);
    await producer.send('late', { expiresInMs: 1 });
    await until(Date.now() + 5);
    const handled: string[] = [];
    const consumer = createConsumer(t.broker, queue, (value) => void handled.push(value));
    await consumer.start();
    await producer.send('in time');
    await eventually(() => consumer.counts.handled === 1);
    expect(handled).toEqual(['in time']);
    await consumer.stop();
    await t.untilCounted(queue.name, { ready: 0 });
    expect(await t.ready(`${queue.name}.dead`)).toBe(0);
  },

  'a message that expires while it waits for its handler is not handled': async (t) => {
    const queue = t.define(z.string(), { onExpired: 'drop' });
    const producer = createProducer(t.broker, queue);
    const handled: string[] = [];
    let expiresAt = Number.POSITIVE_INFINITY;
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      async (value) => {
        handled.push(value);
        await eventually(() => Date.now() > expiresAt);
      },
      { concurrency: 1, prefetch: 2, observe: log.observe },
    );
    await consumer.start();
    await producer.send('first');
    const { id } = await producer.send('second', { expiresInMs: 5000 });
    expiresAt = Date.now() + 5000;
    await log.until('expired');
    expect(log.events).toMatchObject([{ type: 'handled' }, { type: 'expired', id, attempt: 1 }]);
    expect(consumer.counts).toMatchObject({ handled: 1, expired: 1, deadLettered: 0 });
    expect(handled).toEqual(['first']);
    await consumer.stop();
  },

  'a retry neither resurrects a message nor shortens its time': async (t) => {
    recordWarnings('MILLRACE_ATTEMPT_FAILED');
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    const attempts: [string, number, number | undefined][] = [];
    let begun = 0;
    const consumer = createConsumer(
      t.broker,
      queue,
      (value, { attempt, expiresAt }) => {
        attempts.push([value, attempt, expiresAt]);
        begun ||= performance.now();
        if (attempt === 1) throw new Error('again');
      },
      { retry: { delaysMs: [11_000] } },
    );
    await consumer.start();
    await producer.send('short', { expiresInMs: 10_000 });
    await eventually(() => consumer.counts.retried === 1);
    await producer.send('long', { expiresInMs: 600_000 });
    const [dead] = await deadLettersOf(t, queue.name, 1);
    // Not before its delay: the broker would take the end of its time for that of the wait.
    expect(performance.now() - begun).toBeGreaterThan(10_900);
    expect(dead).toMatchObject({ reason: 'expired', attempts: 2 });
    await eventually(() => consumer.counts.handled === 1);
    const [, long, again] = attempts;
    expect(attempts.map(([value, attempt]) => [value, attempt])).toEqual([
      ['short', 1],
      ['long', 1],
      ['long', 2],
    ]);
    expect(again?.[2]).toBe(long?.[2]);
    await consumer.stop();
  },

  'messages that expire make room for those that wait': async (t) => {
    const queue = t.define(z.string(), { capacity: 3, deadLetter: false });
    const producer = createProducer(t.broker, queue);
    let stored = 0;
    while ((await producer.trySend('short-lived', { expiresInMs: 5000 })) !== undefined) {
      stored++;
      if (stored === 500) throw new Error('never full');
    }
    expect(stored).toBeGreaterThan(0);
    await producer.send('waits');
    const inbox = await t.inbox(queue.name);
    let body = '';
    while (body !== '"waits"') {
      const delivery = await inbox.next();
      body = delivery.message.body.toString();
      delivery.ack();
    }
  },

  'a loop does not see what has expired': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    await producer.send('late', { expiresInMs: 1 });
    await producer.send('in time');
    await until(Date.now() + 5);
    for await (const message of receive(t.broker, queue)) {
      expect(message.value).toBe('in time');
      message.ack();
      break;
    }
    expect(await deadLettersOf(t, queue.name, 1)).toMatchObject([{ reason: 'expired' }]);
  },

  'a loop reports what has expired and is dropped': async (t) => {
    recordWarnings('MILLRACE_EXPIRED');
    const queue = t.define(z.string(), { onExpired: 'drop' });
    const producer = createProducer(t.broker, queue);
    await producer.send('first');
    const { id } = await producer.send('second', { expiresInMs: 5000 });
    const expiresAt = Date.now() + 5000;
    const settled: SettleTrace[] = [];
    const unsubscribe = onSettled((trace) => trace.queue === queue.name && settled.push(trace));
    const values: string[] = [];
    for await (const message of receive(t.broker, queue, { prefetch: 2 })) {
      values.push(message.value);
      if (message.value === 'first') {
        // The second has arrived, too, and waits for the loop.
        await until(expiresAt);
        await producer.send('third');
      }
      message.ack();
      if (message.value === 'third') break;
    }
    unsubscribe();
    expect(values).toEqual(['first', 'third']);
    expect(settled).toMatchObject([{ outcome: 'expired', id, attempt: 1 }]);
    await t.untilCounted(queue.name, { ready: 0, consumers: 0 });
  },

  'a dead letter does not expire, and its replay is not bound by the time either': async (t) => {
    const queue = t.define(z.string());
    const { id } = await createProducer(t.broker, queue).send('x', { expiresInMs: 5000 });
    const inbox = await t.inbox(queue.name);
    const first = await inbox.next();
    await first.deadLetter({ code: 'rejected', error: 'no' });
    await until((first.message.expiresAt ?? 0) + 5);
    expect(await deadLettersOf(t, queue.name, 1)).toMatchObject([{ id, reason: 'rejected' }]);
    expect(await deadLetters(t.broker, queue).replay()).toMatchObject({ replayed: 1 });
    const again = await inbox.next();
    expect(again.message).toMatchObject({ id, expiresAt: undefined });
    again.ack();
  },
};
