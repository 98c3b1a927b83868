import { setImmediate as turn } from 'node:timers/promises';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Broker } from '../../src/broker.js';
import type { ConsumerEvent } from '../../src/consumer/consumer.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { RejectMessage } from '../../src/errors.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { defineQueue } from '../../src/queue.js';
import { aroundBroker } from '../../src/testing/around-broker.js';
import { message } from '../contract/contract-context.js';

type Step =
  | { readonly do: 'publish'; readonly key: string; readonly isHeld: boolean }
  | { readonly do: 'validate' }
  | { readonly do: 'end'; readonly which: number; readonly how: 'return' | 'throw' | 'reject' }
  | { readonly do: 'turn' }
  | { readonly do: 'pause' }
  | { readonly do: 'resume' }
  | { readonly do: 'stop'; readonly deadlineMs: number }
  | { readonly do: 'close' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      key: fc.constantFrom('a', 'b', 'c'),
      isHeld: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('validate' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('end' as const),
      which: fc.nat(5),
      how: fc.constantFrom('return' as const, 'throw' as const, 'reject' as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('resume' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('stop' as const), deadlineMs: fc.constantFrom(0, 60_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const) }) },
);

interface Value {
  readonly key: string;
  /** Whether its validation waits until it is let go. */
  readonly isHeld: boolean;
}

const settings = fc.record({
  concurrency: fc.integer({ min: 1, max: 3 }),
  ahead: fc.integer({ min: 0, max: 5 }),
  hasKeys: fc.boolean(),
  maxPerKey: fc.integer({ min: 1, max: 2 }),
  hasBreaker: fc.boolean(),
  /** A full dead-letter queue: moving a message there waits. */
  deadLetterCapacity: fc.constantFrom(1, 1000),
});

test('every delivery ends in exactly one outcome, and no handler begins after stop', async () => {
  await fc.assert(
    fc.asyncProperty(settings, fc.array(step, { maxLength: 40 }), async (options, steps) => {
      const run = new Run(options);
      await run.start();
      for (const each of steps) await run.make(each);
      await run.check();
    }),
    { numRuns: 500 },
  );
});

class Run {
  readonly #broker = openMemoryBroker();
  readonly #watched: Broker;
  readonly #consumer: ReturnType<typeof createConsumer>;
  readonly #queue;
  readonly #validations: (() => void)[] = [];
  #handlers: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  readonly #deliveries = new Map<string, number>();
  readonly #outcomes = new Map<string, ConsumerEvent['type'][]>();
  #sent = 0;
  #stopping: Promise<unknown> | undefined;
  #isClosed = false;
  #begunAfterStop = 0;

  constructor({
    concurrency,
    ahead,
    hasKeys,
    maxPerKey,
    hasBreaker,
    deadLetterCapacity,
  }: typeof settings extends fc.Arbitrary<infer T> ? T : never) {
    const schema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value: unknown) =>
          (value as Value).isHeld
            ? new Promise((resolve) => this.#validations.push(() => resolve({ value })))
            : { value },
      },
    } as unknown as StandardSchemaV1<Value, Value>;
    this.#queue = defineQueue('q', schema, { deadLetter: { capacity: deadLetterCapacity } });
    this.#watched = aroundBroker(this.#broker, {
      delivery: (delivery) => {
        const { id } = delivery.message;
        this.#deliveries.set(id, (this.#deliveries.get(id) ?? 0) + 1);
        return delivery;
      },
    });
    const handler = () => {
      if (this.#stopping !== undefined) this.#begunAfterStop++;
      return new Promise<void>((resolve, reject) => this.#handlers.push({ resolve, reject }));
    };
    this.#consumer = createConsumer(this.#watched, this.#queue, handler, {
      concurrency,
      prefetch: concurrency + ahead,
      key: hasKeys ? ({ key }) => key : undefined,
      maxPerKey: hasKeys ? maxPerKey : undefined,
      breaker: hasBreaker ? { failures: 2, ofLast: 3, pauseMs: 1 } : undefined,
      retry: { delaysMs: [0] },
      observe: (event) => {
        if (!('id' in event) || event.type === 'slow') return;
        this.#outcomes.set(event.id, [...(this.#outcomes.get(event.id) ?? []), event.type]);
      },
    });
  }

  start(): Promise<void> {
    return this.#consumer.start();
  }

  async make(one: Step): Promise<void> {
    switch (one.do) {
      case 'publish': {
        if (this.#isClosed) return;
        const body = JSON.stringify({ key: one.key, isHeld: one.isHeld });
        const sent = message({ id: `m${this.#sent++}`, body, contentType: 'application/json' });
        await this.#broker.publish({ exchange: '', routingKey: 'q' }, sent);
        return;
      }
      case 'validate':
        for (const validated of this.#validations.splice(0)) validated();
        return;
      case 'end': {
        const [handler] = this.#handlers.splice(one.which, 1);
        if (one.how === 'return') handler?.resolve();
        else handler?.reject(one.how === 'throw' ? new Error('no') : new RejectMessage('never'));
        return;
      }
      case 'turn':
        await turn();
        return;
      case 'pause':
        this.#consumer.pause().catch(() => {});
        return;
      case 'resume':
        this.#consumer.resume().catch(() => {});
        return;
      case 'stop':
        this.#stopping ??= this.#consumer.stop({ deadlineMs: one.deadlineMs });
        return;
      case 'close':
        this.#isClosed = true;
        this.#stopping ??= this.#broker.close().then(() => this.#consumer.stop());
        return;
    }
  }

  async check(): Promise<void> {
    this.#stopping ??= this.#consumer.stop({ deadlineMs: 0 });
    // Brings the deadline of an earlier stop forward.
    await this.#consumer.stop({ deadlineMs: 0 });
    await this.#stopping;
    const counted = JSON.stringify(this.#consumer.counts);
    // What validators and handlers do now is too late.
    await this.make({ do: 'validate' });
    for (const { resolve } of this.#handlers) resolve();
    await turn();
    expect(JSON.stringify(this.#consumer.counts)).toBe(counted);
    expect(this.#begunAfterStop).toBe(0);

    const outcomes = [...this.#outcomes.values()].flat();
    const count = (type: string) => outcomes.filter((outcome) => outcome === type).length;
    for (const [id, deliveries] of this.#deliveries) expect(this.#outcomes.get(id)).toHaveLength(deliveries);
    expect(this.#consumer.counts).toMatchObject({
      handled: count('handled'),
      retried: count('retried'),
      deadLettered: count('dead-lettered'),
      released: count('released'),
      lost: count('lost'),
      settleFailed: count('settle-failed'),
    });
    for (const [, types] of this.#outcomes) {
      const ends = types.filter((type) => type === 'handled' || type === 'dead-lettered');
      expect(ends.length).toBeLessThanOrEqual(1);
    }
    if (!this.#isClosed) {
      // Nothing is acknowledged that was not handled, and nothing that was is in the queue.
      const { ready } = await this.#broker.inspect('q');
      expect(ready).toBe(this.#sent - count('handled') - count('dead-lettered'));
      expect((await this.#broker.inspect('q.dead')).ready).toBe(count('dead-lettered'));
    }
    await this.#broker.close();
  }
}
