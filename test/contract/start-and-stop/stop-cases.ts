import { expect } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { rejection, watch } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';
import type { ContractContext } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** A started consumer whose handlers run until they are let go, or for ever. */
async function heldConsumer(
  t: ContractContext,
  options: { readonly concurrency: number; readonly prefetch: number },
) {
  const queue = t.define(z.number());
  const log = new EventLog();
  const begun: number[] = [];
  const signals: AbortSignal[] = [];
  let letGo = () => {};
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const consumer = createConsumer(
    t.broker,
    queue,
    async (value, { signal }) => {
      begun.push(value);
      signals.push(signal);
      await held;
    },
    { ...options, observe: log.observe },
  );
  await consumer.start();
  return { queue, log, begun, signals, letGo, consumer };
}

export const stopCases: Cases = {
  'start declares the queue and subscribes; the state follows the consumer': async (t) => {
    const queue = t.define(z.string());
    const consumer = createConsumer(t.broker, queue, () => {});
    expect(consumer.state).toBe('idle');
    const starting = consumer.start();
    expect(consumer.state).toBe('starting');
    await starting;
    expect(consumer.state).toBe('running');
    expect((await t.broker.inspect(queue.name)).consumers).toBe(1);
    const stopping = consumer.stop();
    expect(consumer.state).toBe('stopping');
    expect(await stopping).toEqual({ unfinished: 0 });
    expect(consumer.state).toBe('stopped');
    await t.untilCounted(queue.name, { consumers: 0 });
    await consumer.ended;
  },

  'stop lets running handlers finish, and returns unstarted messages at no cost': async (t) => {
    const { queue, log, begun, letGo, consumer } = await heldConsumer(t, { concurrency: 2, prefetch: 6 });
    await createProducer(t.broker, queue).sendMany([0, 1, 2, 3, 4, 5, 6, 7]);
    await eventually(() => begun.length === 2);
    await t.untilCounted(queue.name, { ready: 2 });
    const stopping = consumer.stop();
    const watched = watch(stopping);
    await t.untilCounted(queue.name, { ready: 6 });
    expect(watched.state).toBe('pending');
    letGo();
    expect(await stopping).toEqual({ unfinished: 0 });
    expect(begun).toEqual([0, 1]);
    expect(log.of('handled')).toHaveLength(2);
    const rest = await (await t.inbox(queue.name)).take(6);
    expect(rest.map((delivery) => Number(delivery.message.body)).sort()).toEqual([2, 3, 4, 5, 6, 7]);
    for (const delivery of rest) expect(delivery.attempt).toBe(1);
  },

  'at the deadline stop aborts the handlers and returns their messages': async (t) => {
    const { queue, log, begun, signals, letGo, consumer } = await heldConsumer(t, {
      concurrency: 2,
      prefetch: 2,
    });
    await createProducer(t.broker, queue).sendMany([0, 1]);
    await eventually(() => begun.length === 2);
    expect(await consumer.stop({ deadlineMs: 50 })).toEqual({ unfinished: 2 });
    expect(consumer.state).toBe('stopped');
    for (const signal of signals) expect(signal).toMatchObject({ aborted: true, reason: { code: 'CLOSED' } });
    expect(log.of('released')).toHaveLength(2);
    const inbox = await t.inbox(queue.name);
    const again = await inbox.take(2);
    for (const delivery of again) expect(delivery).toMatchObject({ attempt: 1, redelivered: true });
    // The handlers end only now: too late to settle what is no longer theirs.
    letGo();
    await new Promise(setImmediate);
    for (const delivery of again) delivery.ack();
    await inbox.subscription.close();
    expect(await t.ready(queue.name)).toBe(0);
    expect(log.of('handled')).toEqual([]);
  },

  'a consumer that is disposed of is stopped': async (t) => {
    const queue = t.define(z.number());
    const handled: number[] = [];
    const consumer = createConsumer(t.broker, queue, (value) => handled.push(value));
    await consumer.start();
    await createProducer(t.broker, queue).send(1);
    await eventually(() => handled.length === 1);
    await consumer[Symbol.asyncDispose]();
    expect(consumer.state).toBe('stopped');
    await t.untilCounted(queue.name, { ready: 0, consumers: 0 });
  },

  'a second stop waits for the first': async (t) => {
    const { queue, begun, letGo, consumer } = await heldConsumer(t, { concurrency: 1, prefetch: 1 });
    await createProducer(t.broker, queue).send(0);
    await eventually(() => begun.length === 1);
    const both = Promise.all([consumer.stop(), consumer.stop({ deadlineMs: 0 })]);
    letGo();
    expect(await both).toEqual([{ unfinished: 0 }, { unfinished: 0 }]);
    expect(await consumer.stop()).toEqual({ unfinished: 0 });
  },

  'a failure in progress when stop is called is still stored': async (t) => {
    recordWarnings('MILLRACE_ATTEMPT_FAILED');
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x');
    const { promise: failing, fail } = failure();
    const begun: number[] = [];
    const consumer = createConsumer(
      t.broker,
      queue,
      async (_value, { attempt }) => {
        begun.push(attempt);
        await failing;
      },
      { retry: { delaysMs: [50] } },
    );
    await consumer.start();
    await eventually(() => begun.length === 1);
    const stopping = consumer.stop();
    fail(new Error('too bad'));
    expect(await stopping).toEqual({ unfinished: 0 });
    expect(await (await t.inbox(queue.name)).next()).toMatchObject({ attempt: 2, redelivered: true });
  },

  'a consumer is started once: a second start, also after stop, is CLOSED': async (t) => {
    const queue = t.define(z.string());
    const consumer = createConsumer(t.broker, queue, () => {});
    await consumer.start();
    await rejection(consumer.start(), 'CLOSED');
    await consumer.stop();
    await rejection(consumer.start(), 'CLOSED');
    const never = createConsumer(t.broker, queue, () => {});
    await never.stop();
    await rejection(never.start(), 'CLOSED');
    await never.ended;
  },

  'a message whose handler closes the broker before start has resolved is not counted as handled and kept':
    async (t) => {
      const queue = t.define(z.string(), { deadLetter: false });
      const broker = await t.open();
      await createProducer(broker, queue).send('x');
      const log = new EventLog();
      let isCalled = false;
      const handler = () => {
        isCalled = true;
        void broker.close();
      };
      const consumer = createConsumer(broker, queue, handler, { observe: log.observe });
      await consumer.start().catch(() => {});
      await eventually(() => isCalled);
      await broker.close();
      await consumer.stop();
      const ends = log.of('handled').length + log.of('lost').length;
      expect(ends).toBe(1);
      expect(consumer.counts).toMatchObject({
        handled: log.of('handled').length,
        lost: log.of('lost').length,
      });
      // The memory of a broker ends with it: there is no queue to look into any more.
      if (t.broker.url === 'local:') return;
      await t.untilCounted(queue.name, { ready: log.of('lost').length });
    },

  'stop during start rejects it with CLOSED and leaves no subscriber': async (t) => {
    const queue = t.define(z.string());
    await t.broker.declare(queue.spec);
    const consumer = createConsumer(t.broker, queue, () => {});
    const starting = rejection(consumer.start(), 'CLOSED');
    await consumer.stop();
    await starting;
    expect(consumer.state).toBe('stopped');
    await t.untilCounted(queue.name, { consumers: 0 });
  },

  'a start that fails says why, and the consumer is stopped': async (t) => {
    const missing = t.define(z.string(), { declare: 'existing' });
    const consumer = createConsumer(t.broker, missing, () => {});
    await rejection(consumer.start(), 'QUEUE_MISSING');
    expect(consumer.state).toBe('stopped');
    expect(await consumer.stop()).toEqual({ unfinished: 0 });
    const aborted = createConsumer(t.broker, t.define(z.string()), () => {});
    await rejection(aborted.start({ signal: AbortSignal.abort() }), 'ABORTED');
  },

  'closing the broker ends the consumer': async (t) => {
    const queue = t.define(z.string());
    const consumer = createConsumer(t.broker, queue, () => {});
    await consumer.start();
    await t.broker.close();
    await consumer.ended;
    expect(consumer.state).toBe('stopped');
    expect(await consumer.stop()).toEqual({ unfinished: 0 });
  },

  'invalid options are INVALID_OPTION': async (t) => {
    const queue = t.define(z.string());
    const wrong: object[] = [
      { concurrency: 0 },
      { concurrency: 1.5 },
      { concurrency: 4, prefetch: 3 },
      { prefetch: 65_536 },
      { handlerTimeoutMs: 0 },
      { retry: { delaysMs: [-1] } },
      { retry: { delaysMs: 1000 } },
      { retry: { delaysMs: ['1000'] } },
      { retry: [1000] },
      { observe: 'console' },
      { retries: 3 },
    ];
    for (const options of wrong) {
      const creating = async () => createConsumer(t.broker, queue, () => {}, options);
      await rejection(creating(), 'INVALID_OPTION');
    }
    const withoutHandler = async () => createConsumer(t.broker, queue, undefined as never);
    await rejection(withoutHandler(), 'INVALID_OPTION');
  },
};

function failure(): { promise: Promise<never>; fail: (error: Error) => void } {
  let fail: (error: Error) => void = () => {};
  const promise = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  return { promise, fail };
}
