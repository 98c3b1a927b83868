import type { StandardSchemaV1 } from '@standard-schema/spec';
import { expect } from 'vitest';
import { z } from 'zod';
import type { ConsumerOptions } from '../../../src/consumer/consumer-options.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { receive } from '../../../src/consumer/receive.js';
import { createProducer } from '../../../src/producer/producer.js';
import type { Queue } from '../../../src/queue.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { recordWarnings } from '../../support/warnings.js';
import type { Cases } from '../contract-suite.js';

/** A schema of strings that answers when, and as, it is told. */
function schemaOf(validate: (value: string) => unknown): StandardSchemaV1<string, string> {
  const standard = { version: 1, vendor: 'test', validate };
  return { '~standard': standard } as unknown as StandardSchemaV1<string, string>;
}

/** Validates producers' values at once; the consumer's wait until they are let go. */
function heldSchema() {
  const waiting: string[] = [];
  const releases: (() => void)[] = [];
  let isHolding = false;
  const schema = schemaOf((value) => {
    if (!isHolding) return { value };
    waiting.push(value);
    return new Promise((resolve) => releases.push(() => resolve({ value })));
  });
  return {
    schema,
    waiting,
    hold: () => {
      isHolding = true;
    },
    letGo: () => {
      for (const release of releases.splice(0)) release();
    },
  };
}

const BY_KEY: ConsumerOptions<string> = { key: (value) => value };
const WAYS: readonly [string, ConsumerOptions<string>][] = [
  ['', {}],
  [' (with a key)', BY_KEY],
];

/** Each case with and without keys: they decode at different moments. */
function bothWays(
  title: string,
  run: (...args: [...Parameters<Cases[string]>, ConsumerOptions<string>]) => Promise<void>,
): Cases {
  return Object.fromEntries(WAYS.map(([suffix, options]) => [title + suffix, (t) => run(t, options)]));
}

/** The queue, but for its decoding. */
function decodingBy<In, Out>(queue: Queue<In, Out>, decode: Queue<In, Out>['decode']): Queue<In, Out> {
  return { ...queue, decode };
}

export const schemaCases: Cases = {
  ...bothWays(
    'stop returns a message that is being validated, and its handler never begins',
    async (t, options) => {
      const { schema, waiting, hold, letGo } = heldSchema();
      const queue = t.define(schema);
      await createProducer(t.broker, queue).send('x');
      hold();
      const log = new EventLog();
      const begun: string[] = [];
      const consumer = createConsumer(t.broker, queue, (text) => begun.push(text), {
        ...options,
        observe: log.observe,
      });
      await consumer.start();
      await eventually(() => waiting.length === 1);
      const stopping = consumer.stop();
      letGo();
      expect(await stopping).toEqual({ unfinished: 0 });
      await new Promise(setImmediate);
      expect(begun).toEqual([]);
      expect(log.events).toMatchObject([{ type: 'released', attempt: 1 }]);
      expect(consumer.counts).toMatchObject({ released: 1, handled: 0, lost: 0 });
      const again = await (await t.inbox(queue.name)).next();
      expect(again).toMatchObject({ attempt: 1 });
    },
  ),

  ...bothWays(
    'a message that is lost while it is validated is never handled by this consumer',
    async (t, options) => {
      const broker = await t.open();
      const { schema, waiting, hold, letGo } = heldSchema();
      const queue = t.define(schema);
      await createProducer(broker, queue).send('x');
      hold();
      const log = new EventLog();
      const begun: string[] = [];
      const consumer = createConsumer(broker, queue, (text) => begun.push(text), {
        ...options,
        observe: log.observe,
      });
      await consumer.start();
      await eventually(() => waiting.length === 1);
      await broker.close();
      letGo();
      await consumer.ended;
      await new Promise(setImmediate);
      expect(begun).toEqual([]);
      expect(log.of('lost')).toHaveLength(1);
      expect(consumer.counts).toMatchObject({ lost: 1, handled: 0, released: 0 });
    },
  ),

  ...bothWays(
    'validating counts within the time limit: one that hangs is a failed attempt and holds up nothing',
    async (t, options) => {
      let isHanging = false;
      const schema = schemaOf((value) =>
        value === 'bad' && isHanging ? new Promise(() => {}) : Promise.resolve({ value }),
      );
      const queue = t.define(schema);
      await createProducer(t.broker, queue).send('bad');
      isHanging = true;
      await createProducer(t.broker, queue).send('good');
      const log = new EventLog();
      const consumer = createConsumer(t.broker, queue, () => {}, {
        ...options,
        concurrency: 1,
        prefetch: 2,
        handlerTimeoutMs: 200,
        retry: { delaysMs: [] },
        observe: log.observe,
      });
      await consumer.start();
      await log.until('handled');
      await log.until('dead-lettered');
      expect(log.of('slow')).toMatchObject([{ limit: 'handler', attempt: 1 }]);
      expect(log.of('dead-lettered')).toMatchObject([
        { failure: { code: 'failed' }, error: { code: 'TIMEOUT' } },
      ]);
      await consumer.stop();
    },
  ),

  ...bothWays(
    'decoding that throws or rejects, for a reason that may pass, is retried as a failed handler is',
    async (t, options) => {
      const defined = t.define(schemaOf((value) => ({ value })));
      await createProducer(t.broker, defined).send('x');
      let decoded = 0;
      const queue = decodingBy(defined, (message) => {
        decoded++;
        if (decoded === 1) throw new Error('no such host');
        if (decoded === 2) return Promise.reject(new Error('connection refused'));
        return defined.decode(message);
      });
      const log = new EventLog();
      const consumer = createConsumer(t.broker, queue, () => {}, {
        ...options,
        retry: { delaysMs: [0, 0] },
        observe: log.observe,
      });
      await consumer.start();
      expect(await log.allByAttempt(3)).toMatchObject([
        { type: 'retried', attempt: 1, failure: { code: 'failed', error: 'no such host' } },
        { type: 'retried', attempt: 2, failure: { code: 'failed', error: 'connection refused' } },
        { type: 'handled', attempt: 3 },
      ]);
      await consumer.stop();
    },
  ),

  ...bothWays(
    'a schema that throws or rejects, because what it asks is down, is retried as a failed handler is',
    async (t, options) => {
      /** How many more questions fail. */
      let downFor = 0;
      const ask = (value: string) => {
        if (downFor === 0) return { value };
        downFor--;
        if (downFor === 0) throw new Error('ECONNREFUSED');
        return Promise.reject(new Error('ECONNREFUSED'));
      };
      const refined = z.string().refine(async () => {
        if (downFor === 0) return true;
        downFor--;
        throw new Error('ECONNREFUSED');
      });
      const queues = [t.define(schemaOf(ask)), t.define(refined)];
      for (const queue of queues) await createProducer(t.broker, queue).send('x');
      for (const queue of queues) {
        const log = new EventLog();
        const consumer = createConsumer(t.broker, queue, () => {}, {
          ...options,
          retry: { delaysMs: [0, 20, 20] },
          observe: log.observe,
        });
        downFor = 2;
        await consumer.start();
        expect(await log.allByAttempt(3)).toMatchObject([
          { type: 'retried', attempt: 1, failure: { code: 'failed' }, error: { message: 'ECONNREFUSED' } },
          { type: 'retried', attempt: 2, failure: { code: 'failed' }, error: { message: 'ECONNREFUSED' } },
          { type: 'handled', attempt: 3 },
        ]);
        await consumer.stop();
      }
    },
  ),

  'a loop retries a message that could not be validated, and continues with the next': async (t) => {
    recordWarnings('MILLRACE_ATTEMPT_FAILED');
    const defined = t.define(schemaOf((value) => ({ value })));
    const producer = createProducer(t.broker, defined);
    await producer.send('x');
    await producer.send('y');
    let decoded = 0;
    const queue = decodingBy(defined, (message) => {
      if (++decoded === 1) throw new Error('no such host');
      return defined.decode(message);
    });
    const seen: [string, number][] = [];
    for await (const item of receive(t.broker, queue)) {
      seen.push([item.value, item.attempt]);
      item.ack();
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([
      ['y', 1],
      ['x', 2],
    ]);
  },
};
