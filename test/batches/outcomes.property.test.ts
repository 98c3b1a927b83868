import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createBatchConsumer } from '../../src/batches/create-batch-consumer.js';
import { Deferred } from '../../src/common/waiting/waiting.js';
import type { ConsumerEvent } from '../../src/consumer/consumer.js';
import { Postpone, RejectMessage, RetryLater } from '../../src/errors.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { aroundBroker } from '../../src/testing/around-broker.js';

const ERRORS = {
  error: () => new Error('no'),
  reject: () => new RejectMessage('never'),
  later: () => new RetryLater(0),
  postpone: () => new Postpone(0),
};

type How = keyof typeof ERRORS | 'return';

const how = fc.constantFrom<How>('return', 'return', 'error', 'reject', 'later', 'postpone');

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('send' as const), kind: fc.constantFrom('a', 'b') }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which: fc.nat(3),
      how,
      /** Which items are failed before, and how. */
      fails: fc.array(fc.record({ at: fc.nat(5), how }), { maxLength: 3 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('stop' as const), deadlineMs: fc.constantFrom(0, 60_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const) }) },
);

const settings = fc.record({
  size: fc.integer({ min: 1, max: 4 }),
  concurrency: fc.integer({ min: 1, max: 2 }),
  waitMs: fc.constantFrom(0, 60_000),
  maxBytes: fc.constantFrom(undefined, 8),
  hasKinds: fc.boolean(),
  attempts: fc.integer({ min: 1, max: 3 }),
  maxPostpones: fc.nat(2),
});

interface Call {
  readonly items: readonly { readonly value: string }[];
  readonly end: (how: How, fails: readonly { readonly at: number; readonly how: How }[]) => void;
}

test('every delivery ends in exactly one outcome, however its batches end', async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.array(step, { maxLength: 50 }), async (options, steps) => {
      const broker = openMemoryBroker();
      const queue = defineQueue('q', z.string());
      await broker.declare(queue.spec);
      const deliveries = new Map<string, number>();
      const outcomes = new Map<string, ConsumerEvent['type'][]>();
      const calls: Call[] = [];
      const open = () => calls.filter(({ items }) => items.length > 0);
      const { attempts, hasKinds, ...rest } = options;
      const consumer = createBatchConsumer(
        aroundBroker(broker, {
          delivery: (delivery) => {
            deliveries.set(delivery.message.id, (deliveries.get(delivery.message.id) ?? 0) + 1);
            return delivery;
          },
        }),
        queue,
        (batch, { fail }) => {
          expect(batch.length).toBeGreaterThan(0);
          expect(batch.length).toBeLessThanOrEqual(options.size);
          if (hasKinds) expect(new Set(batch.map(({ value }) => value[0])).size).toBe(1);
          const gate = new Deferred();
          calls.push({
            items: batch,
            end: (ending, fails) => {
              for (const { at, how: failing } of fails) {
                if (failing !== 'return') fail(batch[at % batch.length], ERRORS[failing]());
              }
              if (ending === 'return') gate.resolve();
              else gate.reject(ERRORS[ending]());
            },
          });
          return gate.promise;
        },
        {
          ...rest,
          by: hasKinds ? (value) => value.slice(0, 1) : undefined,
          retry: { attempts, backoff: () => 0 },
          observe: (event) => {
            if (!('id' in event) || event.type === 'slow') return;
            outcomes.set(event.id, [...(outcomes.get(event.id) ?? []), event.type]);
          },
        },
      );
      await consumer.start();
      const producer = createProducer(broker, queue);
      let sent = 0;
      let isClosed = false;
      for (const each of steps) {
        if (each.do === 'send' && !isClosed) await producer.send(`${each.kind}${sent++}`);
        else if (each.do === 'end') {
          const [call] = calls.splice(each.which % Math.max(1, open().length), 1);
          call?.end(each.how, each.fails);
        } else if (each.do === 'turn') await turn();
        else if (each.do === 'stop') void consumer.stop({ deadlineMs: each.deadlineMs });
        else if (each.do === 'close') {
          isClosed = true;
          await broker.close();
        }
      }
      await consumer.stop({ deadlineMs: 0 });
      const counted = JSON.stringify(consumer.counts);
      for (const call of calls.splice(0)) call.end('return', []);
      await turn();
      expect(JSON.stringify(consumer.counts)).toBe(counted);

      const all = [...outcomes.values()].flat();
      const count = (type: string) => all.filter((outcome) => outcome === type).length;
      for (const [id, times] of deliveries) expect(outcomes.get(id)).toHaveLength(times);
      if (!isClosed) {
        const { ready } = await broker.inspect('q');
        expect(ready).toBe(sent - count('handled') - count('dead-lettered'));
        expect((await broker.inspect('q.dead')).ready).toBe(count('dead-lettered'));
      }
      await broker.close();
    }),
    { numRuns: 500 },
  );
});
