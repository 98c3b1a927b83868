import { expect } from 'vitest';
import { z } from 'zod';
import type { BatchHandler, BatchItem } from '../../../src/batches/batch.js';
import {
  type BatchConsumerOptions,
  createBatchConsumer,
} from '../../../src/batches/create-batch-consumer.js';
import { Deferred } from '../../../src/common/waiting/waiting.js';
import { Postpone, type QueueError, RejectMessage } from '../../../src/errors.js';
import { createProducer } from '../../../src/producer/producer.js';
import { EventLog } from '../../support/event-log.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { recordWarnings } from '../../support/warnings.js';
import { type ContractContext, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** Longer than any case: a batch closes by something else. */
const NEVER_MS = 60_000;

/** A queue with these texts, and a started batch consumer of it. */
async function batched(
  t: ContractContext,
  texts: readonly string[],
  handle: BatchHandler<string>,
  options: BatchConsumerOptions<string> = {},
) {
  const queue = t.define(z.string());
  const producer = createProducer(t.broker, queue);
  await producer.sendMany(texts);
  const batches: string[][] = [];
  const log = new EventLog();
  const consumer = createBatchConsumer(
    t.broker,
    queue,
    (batch, context) => {
      batches.push(batch.map(({ value }) => value));
      return handle(batch, context);
    },
    { observe: log.observe, ...options },
  );
  await consumer.start();
  return { queue, producer, batches, log, consumer };
}

const wasPostponed = ({ headers }: BatchItem<string>) => headers['x-millrace-postpones'] !== undefined;

const sizes = (batches: readonly string[][]) => batches.map(({ length }) => length);

export const batchCases: Cases = {
  'a batch closes at its size, and its return acknowledges all of it': async (t) => {
    const texts = numbered(9);
    const { queue, batches, log, consumer } = await batched(t, texts, async () => {}, {
      size: 3,
      waitMs: NEVER_MS,
    });
    await log.until('handled', 9);
    expect(batches).toEqual([texts.slice(0, 3), texts.slice(3, 6), texts.slice(6)]);
    expect(consumer.counts).toMatchObject({ handled: 9, retried: 0 });
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
  },

  'a batch closes some time after its first message, however few there are': async (t) => {
    const { batches, log, consumer, producer } = await batched(t, ['a', 'b'], () => {}, {
      size: 1000,
      waitMs: 100,
    });
    await log.until('handled', 2);
    await producer.send('c');
    await log.until('handled', 3);
    expect(batches.flat()).toEqual(['a', 'b', 'c']);
    expect(batches.at(-1)).toEqual(['c']);
    await consumer.stop();
  },

  'a batch closes before its bodies have more than so many bytes, and a larger message is one by itself':
    async (t) => {
      const [large, larger] = ['c'.repeat(50), 'e'.repeat(60)];
      const texts = ['aaaa', 'bbbb', large, 'd', larger];
      const { batches, log, consumer } = await batched(t, texts, () => {}, {
        maxBytes: 16,
        waitMs: NEVER_MS,
      });
      await log.until('handled', 5);
      expect(batches).toEqual([['aaaa', 'bbbb'], [large], ['d'], [larger]]);
      await consumer.stop();
    },

  'stop has what was gathered handled, and waits for it': async (t) => {
    const { queue, batches, consumer } = await batched(t, ['a', 'b'], async () => {}, {
      size: 10,
      waitMs: NEVER_MS,
    });
    await t.untilCounted(queue.name, { ready: 0 });
    await eventually(() => consumer.counts.redelivered === 0);
    // On its way it may still be when the broker counts it as delivered.
    await untilAsserted(async () => {
      const { unfinished } = await consumer.stop();
      expect(unfinished).toBe(0);
    });
    const { handled } = consumer.counts;
    await t.untilCounted(queue.name, { ready: 2 - handled });
    expect(batches.flat()).toEqual(['a', 'b'].slice(0, handled));
  },

  'fail singles out those that failed, and the others are acknowledged': async (t) => {
    const { log, consumer, batches, producer } = await batched(
      t,
      ['good', 'bad', 'worst', 'late', 'fine'],
      (batch, { fail }) => {
        for (const item of batch) {
          if (item.value === 'bad') fail(item, new Error('row 2'));
          if (item.value === 'worst') fail(item, new RejectMessage('never'));
          if (item.value === 'late' && !wasPostponed(item)) fail(item, new Postpone(0));
        }
      },
      { size: 5, waitMs: NEVER_MS, retry: { delaysMs: [0] } },
    );
    await log.until('retried');
    await log.until('postponed');
    // Two are redelivered; these fill their batch.
    await producer.sendMany(numbered(3));
    await log.until('handled', 6);
    await log.until('dead-lettered', 2);
    expect(batches[0]).toEqual(['good', 'bad', 'worst', 'late', 'fine']);
    expect(consumer.counts).toMatchObject({ handled: 6, retried: 1, postponed: 1, deadLettered: 2 });
    expect(log.of('dead-lettered').map(({ failure }) => [failure.code, failure.error])).toEqual([
      ['rejected', 'never'],
      ['failed', 'row 2'],
    ]);
    await consumer.stop();
  },

  'fail that is called when the handler has returned is too late, and says so': async (t) => {
    const warnings = recordWarnings('MILLRACE_LATE_FAIL');
    let failLate = () => {};
    const { log, consumer } = await batched(
      t,
      ['a'],
      ([item], { fail }) => {
        failLate = () => item !== undefined && fail(item, new Error('late'));
      },
      { size: 1 },
    );
    await log.until('handled');
    failLate();
    await eventually(() =>
      warnings.some(({ message }) => /^fail\(\) of a batch of '.*' was called after/.test(message)),
    );
    expect(consumer.counts).toMatchObject({ handled: 1, retried: 0 });
    await consumer.stop();
  },

  'fail takes items of its own batch only, and the first error of an item counts': async (t) => {
    const refused: unknown[] = [];
    let before: unknown;
    const { log, consumer } = await batched(
      t,
      ['a', 'b'],
      ([item], { fail }) => {
        for (const other of [before, undefined, { ...item }]) {
          try {
            fail(other as BatchItem<string>, new Error('not mine'));
          } catch (error) {
            refused.push((error as QueueError).code);
          }
        }
        before = item;
        if (item?.value !== 'a') return;
        fail(item, new RejectMessage('first'));
        fail(item, new Error('second'));
      },
      { size: 1 },
    );
    await log.until('handled');
    await log.until('dead-lettered');
    expect(log.events.find(({ type }) => type === 'dead-lettered')).toMatchObject({
      failure: { code: 'rejected', error: 'first' },
    });
    expect(refused).toEqual(Array.from({ length: 6 }, () => 'INVALID_OPTION'));
    expect(consumer.counts).toMatchObject({ handled: 1, deadLettered: 1, retried: 0 });
    await consumer.stop();
  },

  'a batch whose handler throws is retried as a whole, one attempt each': async (t) => {
    const { log, batches, consumer } = await batched(
      t,
      ['a', 'b', 'c'],
      (batch) => {
        if (batch.every(({ attempt }) => attempt === 1)) throw new Error('the table is locked');
      },
      { size: 3, waitMs: NEVER_MS, retry: { delaysMs: [0] } },
    );
    await log.until('handled', 3);
    // A retry is reported when it is confirmed, which may be after it has arrived.
    await log.until('retried', 3);
    expect(sizes(batches)[0]).toBe(3);
    expect(log.of('retried').map(({ attempt, failure }) => [attempt, failure.error])).toEqual(
      Array.from({ length: 3 }, () => [1, 'the table is locked']),
    );
    expect(log.of('handled').map(({ attempt }) => attempt)).toEqual([2, 2, 2]);
    await consumer.stop();
  },

  'a batch that fails again is tried in halves, so that one message takes nobody with it': async (t) => {
    const texts = numbered(16);
    const { log, batches, consumer } = await batched(
      t,
      texts,
      (batch) => {
        if (batch.some(({ value }) => value === 'm5')) throw new Error('poison');
      },
      { size: 16, waitMs: NEVER_MS, retry: { delaysMs: [0] } },
    );
    await log.until('handled', 15);
    await log.until('dead-lettered');
    await log.until('retried', 16);
    expect(log.of('dead-lettered')).toMatchObject([
      { attempt: 2, failure: { code: 'failed', error: 'poison' } },
    ]);
    expect(batches.filter((batch) => batch.includes('m5')).at(-1)).toEqual(['m5']);
    expect(consumer.counts).toMatchObject({ handled: 15, retried: 16, deadLettered: 1 });
    await consumer.stop();
  },

  'a RejectMessage for a whole batch finds its message, and rejects no other': async (t) => {
    const { log, consumer } = await batched(
      t,
      numbered(8),
      (batch) => {
        if (batch.some(({ value }) => value === 'm3')) throw new RejectMessage('no such tenant');
      },
      { size: 8, waitMs: NEVER_MS },
    );
    await log.until('handled', 7);
    expect(await log.until('dead-lettered')).toMatchObject([{ attempt: 1, failure: { code: 'rejected' } }]);
    expect(consumer.counts).toMatchObject({ handled: 7, retried: 0, deadLettered: 1 });
    await consumer.stop();
  },

  'a Postpone is for the whole batch': async (t) => {
    const { log, consumer } = await batched(
      t,
      ['a', 'b'],
      (batch) => {
        if (!batch.some(wasPostponed)) throw new Postpone(20);
        expect(batch.every(({ attempt }) => attempt === 1)).toBe(true);
      },
      { size: 2, waitMs: NEVER_MS, retry: { delaysMs: [] } },
    );
    await log.until('handled', 2);
    await log.until('postponed', 2);
    expect(consumer.counts).toMatchObject({ handled: 2, postponed: 2, retried: 0 });
    await consumer.stop();
  },

  'messages of different kinds share no batch': async (t) => {
    const { log, batches, consumer } = await batched(t, ['a1', 'b1', 'a2', 'b2', '!', '?'], () => {}, {
      size: 2,
      waitMs: 100,
      by: (text) => {
        if (text === '!') throw new Error('no kind');
        if (text === '?') return Promise.reject(new Error('no kind')) as unknown as string;
        return text.slice(0, 1);
      },
    });
    await log.until('handled', 4);
    const failures = (await log.until('dead-lettered', 2)) as { failure?: { error?: string } }[];
    expect(failures.map(({ failure }) => failure?.error).sort()).toEqual([
      "the function 'by' failed: by: expected a string to be returned, not a promise",
      "the function 'by' failed: no kind",
    ]);
    for (const batch of batches) expect(new Set(batch.map((text) => text[0])).size).toBe(1);
    await consumer.stop();
  },

  'as many batches at once as concurrency says, and the next one fills up meanwhile': async (t) => {
    const gates: Deferred[] = [];
    const { queue, log, batches, consumer } = await batched(
      t,
      numbered(10),
      () => {
        const gate = new Deferred();
        gates.push(gate);
        return gate.promise;
      },
      { size: 2, concurrency: 2, waitMs: NEVER_MS },
    );
    await eventually(() => batches.length === 2);
    // Two are handled, one waits, and no more is taken.
    await t.untilCounted(queue.name, { ready: 4 });
    expect(batches).toHaveLength(2);
    for (let done = 0; done < 5; done++) {
      await eventually(() => gates.length > done);
      gates[done]?.resolve();
    }
    await log.until('handled', 10);
    expect(batches.flat().sort()).toEqual(numbered(10).sort());
    await consumer.stop();
  },

  'a message that does not fit the schema is in no batch': async (t) => {
    const queue = t.define(z.number());
    await t.broker.declare(queue.spec);
    for (const [id, body] of [
      ['1', '1'],
      ['x', '"x"'],
      ['2', '2'],
    ] as const) {
      const sent = { id, contentType: 'application/json', headers: {}, body };
      await t.broker.publish({ exchange: '', routingKey: queue.name }, sent);
    }
    const seen: number[] = [];
    const log = new EventLog();
    const consumer = createBatchConsumer(
      t.broker,
      queue,
      (batch) => {
        for (const { value } of batch) seen.push(value);
      },
      { waitMs: 50, observe: log.observe },
    );
    await consumer.start();
    await log.until('handled', 2);
    expect(await log.until('dead-lettered')).toMatchObject([{ id: 'x', failure: { code: 'invalid' } }]);
    expect(seen).toEqual([1, 2]);
    await consumer.stop();
  },

  'a batch that takes too long has failed, its signal is aborted, and the next one takes its slot': async (
    t,
  ) => {
    const reasons: unknown[] = [];
    const { log, consumer } = await batched(
      t,
      ['stuck', 'stuck', 'good', 'good'],
      (batch, { signal }) => {
        if (batch.every(({ value }) => value === 'good')) return;
        return new Promise(() => {
          signal.addEventListener('abort', () => reasons.push(signal.reason.code));
        });
      },
      { size: 2, waitMs: NEVER_MS, handlerTimeoutMs: 100, retry: { delaysMs: [] } },
    );
    await log.until('handled', 2);
    expect(await log.until('dead-lettered', 2)).toMatchObject([
      { failure: { code: 'failed' } },
      { failure: { code: 'failed' } },
    ]);
    expect(log.of('dead-lettered')[0]?.failure.error).toContain('a batch of 2 messages');
    expect(reasons).toEqual(['TIMEOUT']);
    await consumer.stop();
  },

  'at the deadline of a stop the signal is aborted, and the batch goes back': async (t) => {
    let aborted: unknown;
    const { queue, batches, consumer } = await batched(
      t,
      ['a', 'b'],
      (_batch, { signal }) =>
        new Promise(() => {
          signal.addEventListener('abort', () => {
            aborted = signal.reason;
          });
        }),
      { size: 2, waitMs: NEVER_MS },
    );
    await eventually(() => batches.length === 1);
    expect(await consumer.stop({ deadlineMs: 0 })).toEqual({ unfinished: 2 });
    expect(aborted).toMatchObject({ code: 'CLOSED' });
    await t.untilCounted(queue.name, { ready: 2 });
  },
};
