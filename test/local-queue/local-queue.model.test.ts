import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { QueueError } from '../../src/errors.js';
import { LocalQueue } from '../../src/local-queue/local-queue.js';
import { type Fate, type Item, NaiveQueue } from './naive-queue.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

type Limit = 'none' | 'signal' | { readonly timeoutMs: number };
type Command =
  | { readonly do: 'put'; readonly priority: number; readonly limit: Limit }
  | { readonly do: 'tryPut'; readonly priorities: readonly number[] }
  | { readonly do: 'take' | 'join'; readonly limit: Limit }
  | { readonly do: 'takeMany'; readonly max: number; readonly limit: Limit }
  | { readonly do: 'next' | 'tryTake' | 'abort' }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'done'; readonly count: number }
  | { readonly do: 'close'; readonly discard: boolean };

const limit = fc.oneof(
  fc.constant('none' as const),
  fc.constant('signal' as const),
  fc.record({ timeoutMs: fc.integer({ min: 1, max: 5 }) }),
);
const priority = fc.integer({ min: 0, max: 2 });
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), priority, limit }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('tryPut' as const),
      priorities: fc.array(priority, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('take' as const), limit }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('takeMany' as const),
      max: fc.integer({ min: 1, max: 4 }),
      limit,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('tryTake' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('next' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('done' as const), count: fc.integer({ min: 1, max: 2 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('join' as const), limit }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), discard: fc.boolean() }) },
);

/** The queue under test and the model, driven side by side. */
class SideBySide {
  readonly #queue: LocalQueue<Item>;
  readonly #iterator: AsyncIterator<Item>;
  readonly #model: NaiveQueue;
  readonly #calls: { readonly actual: { current: Fate }; readonly expected: { current: Fate } }[] = [];
  #abort = new AbortController();
  #items = 0;

  constructor(capacity: number, order: 'fifo' | 'lifo' | 'priority') {
    const itemOrder = order === 'priority' ? { priority: (item: Item) => item.priority } : order;
    this.#queue = new LocalQueue<Item>({ capacity, order: itemOrder });
    this.#iterator = this.#queue[Symbol.asyncIterator]();
    this.#model = new NaiveQueue(capacity, itemOrder);
  }

  run(command: Command): void {
    const queue = this.#queue;
    const model = this.#model;
    switch (command.do) {
      case 'put': {
        const item = this.#item(command.priority);
        this.#call(queue.put(item, this.#options(command.limit)), model.put(item, ...this.#ends(command)));
        return;
      }
      case 'tryPut':
        for (const itemPriority of command.priorities) {
          const item = this.#item(itemPriority);
          expect(orRefused(() => queue.tryPut(item))).toBe(model.tryPut(item) ?? REFUSED);
        }
        return;
      case 'take':
        this.#call(queue.take(this.#options(command.limit)), model.take(undefined, ...this.#ends(command)));
        return;
      case 'takeMany':
        this.#call(
          queue.takeMany(command.max, this.#options(command.limit)),
          model.take(command.max, ...this.#ends(command)),
        );
        return;
      case 'next':
        this.#call(
          this.#iterator.next().then((result) => result.value),
          model.take('next', 'none', 0),
        );
        return;
      case 'tryTake':
        expect(queue.tryTake()).toBe(model.tryTake());
        return;
      case 'abort':
        this.#abort.abort();
        this.#abort = new AbortController();
        model.abort();
        return;
      case 'advance':
        vi.advanceTimersByTime(command.ms);
        model.advance(command.ms);
        return;
      case 'done':
        expect(orRefused(() => queue.done(command.count)) !== REFUSED).toBe(model.done(command.count));
        return;
      case 'join':
        this.#call(queue.join(this.#options(command.limit)), model.join(...this.#ends(command)));
        return;
      case 'close':
        expect(queue.close({ discard: command.discard })).toBe(model.close(command.discard));
    }
  }

  async compare(): Promise<void> {
    this.#model.settle();
    await turn();
    for (const { actual, expected } of this.#calls) expect(actual.current).toEqual(expected.current);
    expect(this.#queue.size).toBe(this.#model.items.length);
    expect(this.#queue.closed).toBe(this.#model.closed);
    // Whoever waits no longer has left nothing behind.
    expect(vi.getTimerCount()).toBe(this.#model.waiting('time'));
    expect(getEventListeners(this.#abort.signal, 'abort')).toHaveLength(
      this.#model.waiting('signal') > 0 ? 1 : 0,
    );
  }

  /** Ends every wait, so that no timer reaches into the next run. */
  async end(): Promise<void> {
    this.run({ do: 'close', discard: true });
    this.run({ do: 'abort' });
    this.run({ do: 'advance', ms: 10 });
    await this.compare();
    expect(vi.getTimerCount()).toBe(0);
  }

  #item(itemPriority: number): Item {
    return { n: this.#items++, priority: itemPriority };
  }

  #options(wanted: Limit) {
    if (wanted === 'none') return undefined;
    return wanted === 'signal' ? { signal: this.#abort.signal } : wanted;
  }

  #ends({ limit: wanted }: { readonly limit: Limit }): ['none' | 'signal' | 'time', number] {
    return typeof wanted === 'string' ? [wanted, 0] : ['time', this.#model.now + wanted.timeoutMs];
  }

  #call(promise: Promise<unknown>, expected: { current: Fate }): void {
    const actual: { current: Fate } = { current: { state: 'waiting' } };
    this.#calls.push({ actual, expected });
    promise.then(
      (value) => {
        actual.current = { state: 'resolved', value };
      },
      (error) => {
        actual.current = { state: error instanceof QueueError ? error.code : String(error) };
      },
    );
  }
}

const REFUSED = Symbol('refused');

function orRefused<R>(call: () => R): R | typeof REFUSED {
  try {
    return call();
  } catch (error) {
    if (error instanceof QueueError) return REFUSED;
    throw error;
  }
}

for (const order of ['fifo', 'lifo', 'priority'] as const) {
  test(`a queue in ${order} order does what a naive one does, in 4000 command sequences`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.array(command, { minLength: 1, maxLength: 3 }), { maxLength: 14 }),
        async (capacity, batches) => {
          const pair = new SideBySide(capacity, order);
          // The commands of a batch come in one synchronous stretch; then every continuation has run.
          for (const batch of batches) {
            for (const step of batch) pair.run(step);
            await pair.compare();
          }
          await pair.end();
        },
      ),
      { numRuns: 4000 },
    );
  }, 120_000);
}
