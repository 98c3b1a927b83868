import { expect } from 'vitest';
import { z } from 'zod';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import type { ConsumerOptions } from '../../../src/consumer/consumer-options.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { Postpone, RetryLater } from '../../../src/errors.js';
import { createProducer } from '../../../src/producer/producer.js';
import { createRequester } from '../../../src/producer/requester.js';
import { EventLog } from '../../support/event-log.js';
import { recordWarnings } from '../../support/warnings.js';
import type { ContractContext } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** Timers, here and at the broker, may fire a fraction of a millisecond early. */
const TIMER_GRAIN_MS = 1;

/** A queue with one message, and a started consumer of it whose handler does what `handle` does. */
async function handled(
  t: ContractContext,
  handle: (call: number, attempt: number) => unknown,
  options: ConsumerOptions<string> = {},
) {
  const queue = t.define(z.string());
  const { id } = await createProducer(t.broker, queue).send('x', { headers: { tenant: 'blue' } });
  const calls: { readonly attempt: number; readonly redelivered: boolean; readonly at: number }[] = [];
  const log = new EventLog();
  const consumer = createConsumer(
    t.broker,
    queue,
    (_value, { attempt, redelivered }) => {
      calls.push({ attempt, redelivered, at: performance.now() });
      return handle(calls.length, attempt);
    },
    { observe: log.observe, ...options },
  );
  await consumer.start();
  return { queue, id, calls, log, consumer };
}

const attemptsOf = (calls: readonly { readonly attempt: number }[]) => calls.map(({ attempt }) => attempt);

/** An error of another copy of this package: the class differs, the mark does not. */
function fromAnotherCopy(name: 'RetryLater' | 'Postpone', delayMs: unknown): Error {
  return Object.assign(new Error('not now'), { [Symbol.for(`millrace.${name}`)]: true, delayMs });
}

export const againCases: Cases = {
  'RetryLater chooses the delay, and counts as an attempt': async (t) => {
    const { id, calls, log, consumer, queue } = await handled(
      t,
      (call) => {
        throw new RetryLater(300, `failure ${call}`);
      },
      { retry: { delaysMs: [3_600_000] } },
    );
    const events = await log.allByAttempt(2);
    expect(attemptsOf(calls)).toEqual([1, 2]);
    expect((calls[1]?.at ?? 0) - (calls[0]?.at ?? 0)).toBeGreaterThanOrEqual(300 - TIMER_GRAIN_MS);
    expect(events).toMatchObject([
      { type: 'retried', id, attempt: 1, delayMs: 300, failure: { code: 'failed', error: 'failure 1' } },
      { type: 'dead-lettered', id, attempt: 2, failure: { code: 'failed', error: 'failure 2' } },
    ]);
    expect(consumer.counts).toMatchObject({ retried: 1, deadLettered: 1, postponed: 0 });
    expect(await t.ready(`${queue.name}.dead`)).toBe(1);
  },

  'Postpone brings the message again after its delay, with the same attempt': async (t) => {
    const { id, calls, log, consumer, queue } = await handled(
      t,
      (call) => {
        if (call === 1) throw new Postpone(300);
      },
      // It does not use up the attempts.
      { retry: { delaysMs: [] } },
    );
    const events = await log.allByAttempt(2);
    expect(calls).toMatchObject([
      { attempt: 1, redelivered: false },
      { attempt: 1, redelivered: true },
    ]);
    expect((calls[1]?.at ?? 0) - (calls[0]?.at ?? 0)).toBeGreaterThanOrEqual(300 - TIMER_GRAIN_MS);
    expect(events).toMatchObject([
      { type: 'postponed', id, attempt: 1, delayMs: 300, error: { name: 'Postpone' } },
      { type: 'handled', id, attempt: 1 },
    ]);
    expect(consumer.counts).toMatchObject({ handled: 1, postponed: 1, retried: 0, deadLettered: 0 });
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
  },

  'a postponed message keeps what its sender set and what earlier attempts left, and others go on': async (
    t,
  ) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    await producer.send('first', { headers: { tenant: 'blue' }, correlationId: 'c1' });
    await producer.send('second');
    const order: [string, number, unknown, string | undefined][] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      (text, { attempt, headers, correlationId }) => {
        order.push([text, attempt, headers.tenant, correlationId]);
        if (text === 'second') return;
        if (attempt === 1) throw new Error('once');
        if (order.filter(([other]) => other === 'first').length === 2) throw new Postpone(200);
      },
      { prefetch: 1, retry: { delaysMs: [200] }, observe: log.observe },
    );
    await consumer.start();
    await log.until('handled', 2);
    expect(order).toEqual([
      ['first', 1, 'blue', 'c1'],
      ['second', 1, undefined, undefined],
      ['first', 2, 'blue', 'c1'],
      ['first', 2, 'blue', 'c1'],
    ]);
    await consumer.stop();
  },

  'a message that is postponed too often becomes a dead letter that says so': async (t) => {
    const { calls, log, queue } = await handled(
      t,
      () => {
        throw new Postpone(0, 'the mill stands still');
      },
      { maxPostpones: 3 },
    );
    const [event] = await log.until('dead-lettered');
    expect(attemptsOf(calls)).toEqual([1, 1, 1, 1]);
    expect(event?.failure).toEqual({
      code: 'postponed',
      error: 'postponed 3 times, and then: the mill stands still',
      stack: expect.stringMatching(/^Postpone: the mill stands still\n/),
      at: expect.any(Number),
    });
    const dead = (await (await t.inbox(`${queue.name}.dead`)).next()).message;
    expect(deadLetterHistory(dead.headers)).toMatchObject({
      reason: 'postponed',
      attempts: 1,
      queue: queue.name,
    });
    // Replayed, it begins afresh.
    expect(dead.headers['x-millrace-postpones']).toBeUndefined();
  },

  'with maxPostpones 0 nothing is postponed': async (t) => {
    const { log } = await handled(
      t,
      () => {
        throw new Postpone(0, 'not now');
      },
      { maxPostpones: 0 },
    );
    expect(await log.until('dead-lettered')).toMatchObject([{ failure: { code: 'postponed' } }]);
  },

  'both are known from another copy of the package, and a delay that makes no sense is none': async (t) => {
    const throws = [
      fromAnotherCopy('Postpone', 10),
      fromAnotherCopy('RetryLater', 10),
      fromAnotherCopy('Postpone', 'soon'),
      fromAnotherCopy('RetryLater', -1),
    ];
    const { log } = await handled(
      t,
      (call) => {
        throw throws[call - 1];
      },
      { retry: { delaysMs: [0, 20, 0] } },
    );
    expect(await log.allByAttempt(5)).toMatchObject([
      { type: 'postponed', attempt: 1, delayMs: 10 },
      { type: 'retried', attempt: 1, delayMs: 10 },
      { type: 'retried', attempt: 2, delayMs: 20 },
      { type: 'retried', attempt: 3, delayMs: 0 },
      { type: 'dead-lettered', attempt: 4 },
    ]);
  },

  'a delay may be 0 or a fraction of a millisecond, as computed ones often are': async (t) => {
    const { queue, calls, log, consumer } = await handled(
      t,
      (call) => {
        if (call === 1) throw new RetryLater(0);
        if (call === 2) throw new RetryLater(0.4);
        if (call === 3) throw new Postpone(1.5);
        if (call === 4) throw new RetryLater(1.1 * 1000);
        if (call === 5) throw new Error('as the policy says');
      },
      { retry: { attempts: 9, backoff: () => 2.5 } },
    );
    await log.until('handled');
    expect(attemptsOf(calls)).toEqual([1, 2, 3, 3, 4, 5]);
    expect((calls[4]?.at ?? 0) - (calls[3]?.at ?? 0)).toBeGreaterThanOrEqual(1100 - TIMER_GRAIN_MS);
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
  },

  'a request that is postponed or retried later is answered when it is handled': async (t) => {
    recordWarnings('MILLRACE_ATTEMPT_FAILED');
    const queue = t.define(z.number());
    let calls = 0;
    const consumer = createConsumer(t.broker, queue, (n) => {
      calls++;
      if (calls === 1) throw new Postpone(20);
      if (calls === 2) throw new RetryLater(20);
      return n * n;
    });
    await consumer.start();
    const requester = createRequester(t.broker, queue, { reply: z.number() });
    expect(await requester.request(12)).toBe(144);
    await requester.close();
    await consumer.stop();
  },

  'delays are computed from the number of the attempt, up to a limit': async (t) => {
    const asked: number[] = [];
    const { calls, log } = await handled(
      t,
      () => {
        throw new Error('no');
      },
      {
        retry: {
          attempts: 4,
          backoff: (attempt) => {
            asked.push(attempt);
            if (attempt === 3) throw new Error('no idea');
            return attempt * 20;
          },
          maxDelayMs: 30,
        },
      },
    );
    await log.until('dead-lettered');
    expect(attemptsOf(calls)).toEqual([1, 2, 3, 4]);
    expect(asked).toEqual([1, 2, 3]);
    expect((await log.until('retried', 3)).map(({ delayMs }) => delayMs)).toEqual([20, 30, 30]);
  },
};
