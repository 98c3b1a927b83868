import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import type { Backend, Delivery } from '../../src/broker.js';
import { Deferred } from '../../src/common/waiting/waiting.js';
import type { ConsumerOptions } from '../../src/consumer/consumer-options.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { FailureWarnings } from '../../src/consumer/failure-warnings.js';
import { QueueError } from '../../src/errors.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { aroundBroker, withVerbs } from '../../src/testing/around-broker.js';
import { EventLog } from '../support/event-log.js';
import { eventually, untilAsserted } from '../support/eventually.js';
import { rejection } from '../support/rejection.js';
import { recordWarnings, type SeenWarning } from '../support/warnings.js';

const queue = defineQueue('orders', z.string());
let warnings: readonly SeenWarning[];
const texts = () => warnings.map(({ message }) => message);
let broker: Backend;
beforeEach(() => {
  broker = openMemoryBroker();
  warnings = recordWarnings(
    'MILLRACE_ATTEMPT_FAILED',
    'MILLRACE_BREAKER',
    'MILLRACE_CONSUMER_ENDED',
    'MILLRACE_DEAD_LETTER',
    'MILLRACE_EXPIRED',
    'MILLRACE_REPLY_FAILED',
    'MILLRACE_SETTLE_FAILED',
  );
});
afterEach(async () => {
  await broker.close();
});

/** Nothing can be stored on it but what is sent: each message comes back after a moment. */
function readOnly(): Backend {
  const fail = (delivery: Delivery) => async () => {
    await turn();
    delivery.release();
    throw new QueueError('ACCESS_REFUSED', 'the user may not publish');
  };
  return aroundBroker(broker, {
    delivery: (delivery) => withVerbs(delivery, { retry: fail(delivery), deadLetter: fail(delivery) }),
  });
}

async function failing(options: ConsumerOptions<string>) {
  const consumer = createConsumer(readOnly(), queue, () => Promise.reject(new Error('no')), options);
  await consumer.start();
  await createProducer(broker, queue).send('x');
  await untilAsserted(() => expect(consumer.counts.settleFailed).toBeGreaterThanOrEqual(3));
  await consumer.stop();
  await turn();
  return consumer;
}

test('a message that can be neither retried nor moved goes round, and the process is warned once', async () => {
  const consumer = await failing({});
  expect(texts()).toEqual([expect.stringMatching(/^message .* of 'orders' .*the user may not publish$/)]);
  expect(consumer.counts).toMatchObject({ handled: 0, retried: 0, deadLettered: 0, lost: 0 });
});

test('a message that could not be moved because the broker was closed is no reason to warn', async () => {
  const closing = aroundBroker(broker, {
    delivery: (delivery) =>
      withVerbs(delivery, {
        retry: async () => {
          delivery.release();
          await broker.close();
          throw new QueueError('CLOSED', 'the broker was closed');
        },
      }),
  });
  const consumer = createConsumer(closing, queue, () => Promise.reject(new Error('no')));
  await consumer.start();
  await createProducer(broker, queue).send('x');
  await eventually(() => consumer.state === 'stopped');
  await turn();
  expect(consumer.counts.settleFailed + consumer.counts.released).toBe(1);
  expect(warnings).toEqual([]);
});

test('an observer gets an event for each such message, and there is no process warning', async () => {
  const log = new EventLog();
  const { counts } = await failing({ observe: log.observe });
  expect(log.of('settle-failed')).toHaveLength(counts.settleFailed);
  expect(log.of('settle-failed')[0]).toMatchObject({
    queue: 'orders',
    attempt: 1,
    error: { code: 'ACCESS_REFUSED' },
  });
  expect(warnings).toEqual([]);
});

test('what expires is one warning, and what can not be replied to another', async () => {
  const held = new Deferred();
  const soon = defineQueue('soon', z.string(), { onExpired: 'drop' });
  const dropping = createConsumer(broker, soon, () => held.promise, { prefetch: 3 });
  const replying = createConsumer(broker, queue, () => 'yes', { replies: 'any' });
  for (const consumer of [dropping, replying]) await consumer.start();
  const producer = createProducer(broker, soon);
  await producer.send('x');
  for (let i = 0; i < 2; i++) await producer.send('x', { expiresInMs: 600_000 });
  await eventually(async () => (await broker.inspect('soon')).unsettled === 3);
  const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 700_000);
  onTestFinished(() => clock.mockRestore());
  held.resolve();
  const request = { contentType: 'application/json', headers: {}, body: '"x"', correlationId: 'c' };
  for (const id of ['1', '2'])
    await broker.publish({ exchange: '', routingKey: 'orders' }, { ...request, id, replyTo: 'none' });
  await eventually(() => dropping.counts.expired === 2 && replying.counts.handled === 2);
  await untilAsserted(() => expect(warnings).toHaveLength(2));
  const further = 'Further ones are not reported';
  expect(texts().toSorted()).toEqual([
    expect.stringMatching(`^'orders': message 1: the reply can't be stored: .*none.*\\. ${further}`),
    expect.stringMatching(`^'soon': message .*: dropped: it expired before it was handled\\. ${further}`),
  ]);
});

test('a breaker that pauses its consumer is one warning, and a pause of the program none', async () => {
  const breaker = { failures: 1, ofLast: 1, pauseMs: 1 };
  const retry = { delaysMs: [600_000] };
  const consumer = createConsumer(broker, queue, () => Promise.reject(new Error('no')), { breaker, retry });
  await consumer.start();
  await consumer.pause();
  await consumer.resume();
  await createProducer(broker, queue).sendMany(['x', 'x', 'x']);
  await eventually(() => consumer.counts.retried === 3);
  await consumer.stop();
  await turn();
  expect(warnings.map(({ code }) => code).toSorted()).toEqual([
    'MILLRACE_ATTEMPT_FAILED',
    'MILLRACE_BREAKER',
  ]);
  expect(texts().toSorted()[1]).toMatch(
    /^'orders': paused for 1 ms by its breaker, since its handlers fail\. Further pauses/,
  );
});

test('dead letters that were only counted are reported when the consumer stops', async () => {
  const options = { retry: { delaysMs: [] } };
  const consumer = createConsumer(broker, queue, () => Promise.reject(new Error('no')), options);
  await consumer.start();
  await createProducer(broker, queue).sendMany(['x', 'y', 'z']);
  await eventually(() => consumer.counts.deadLettered === 3);
  await consumer.stop();
  await turn();
  expect(texts()).toEqual([
    expect.stringMatching(/^'orders': message .* dead-lettered after attempt 1, failed: no\. /),
    expect.stringMatching(
      /^'orders': message .* dead-lettered after attempt 1, failed: no, and 1 more before it\. /,
    ),
  ]);
});

test('dead letters are reported at most every ten seconds, also after those that were only counted', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { observe } = new FailureWarnings('orders', true);
  const failure = { code: 'failed', error: 'no' } as const;
  const die = (id: string) =>
    observe({
      type: 'dead-lettered',
      queue: 'orders',
      id,
      attempt: 1,
      redelivered: false,
      failure,
      error: new Error('no'),
    });
  const seen = async () => {
    await turn();
    return texts().length;
  };
  die('1');
  die('2');
  expect(await seen()).toBe(1);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await seen()).toBe(2);
  die('3');
  expect(await seen()).toBe(2);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await seen()).toBe(3);
  await vi.advanceTimersByTimeAsync(10_000);
  die('4');
  expect(await seen()).toBe(4);
});

/** A broker whose subscriptions end when `end` is called. */
function ending(): { readonly broker: Backend; end(): void } {
  let end = () => {};
  const ended = new Promise<never>((_, reject) => {
    end = () => reject(new QueueError('QUEUE_MISSING', 'the queue was deleted'));
  });
  ended.catch(() => {});
  const around = aroundBroker(broker, {});
  const subscribe: Backend['subscribe'] = async (...args) => {
    const subscription = await broker.subscribe(...args);
    return {
      ended,
      cancel: () => subscription.cancel(),
      close: () => subscription.close(),
      ref: () => subscription.ref(),
      unref: () => subscription.unref(),
    };
  };
  return { broker: Object.assign(Object.create(around), { subscribe }), end };
}

test('a consumer that ends by itself emits a process warning if nothing awaits or observes it', async () => {
  const { broker: fragile, end } = ending();
  const consumer = createConsumer(fragile, queue, () => {});
  await consumer.start();
  end();
  await eventually(() => consumer.state === 'stopped');
  await turn();
  expect(texts()).toEqual(["the consumer of 'orders' has ended: the queue was deleted"]);
});

test('there is no warning if the program awaits its end', async () => {
  const { broker: fragile, end } = ending();
  const consumer = createConsumer(fragile, queue, () => {});
  const ended = rejection(consumer.ended, 'QUEUE_MISSING');
  await consumer.start();
  end();
  await ended;
  await eventually(() => consumer.state === 'stopped');
  await turn();
  expect(warnings).toEqual([]);
});

test('there is no warning with an observer', async () => {
  const { broker: fragile, end } = ending();
  const log = new EventLog();
  const consumer = createConsumer(fragile, queue, () => {}, { observe: log.observe });
  await consumer.start();
  end();
  expect(await log.until('ended')).toMatchObject([{ queue: 'orders', error: { code: 'QUEUE_MISSING' } }]);
  await eventually(() => consumer.state === 'stopped');
  expect(warnings).toEqual([]);
});
