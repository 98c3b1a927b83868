import type { Broker } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { type Around, aroundHandlerOption } from '../common/hooks/around.js';
import { checkOptionNames, integerOption, invalidOption } from '../common/options.js';
import { within } from '../common/waiting/waiting.js';
import type { Consumer, Handler } from '../consumer/consumer.js';
import { type ConsumerOptions, checkConsumerOptions } from '../consumer/consumer-options.js';
import { RunningConsumer } from '../consumer/running-consumer.js';
import type { DecodedValue, Queue } from '../queue.js';
import type { BatchContext, BatchHandler, BatchItem } from './batch.js';
import { Batcher } from './batcher.js';

/** Options of `createBatchConsumer`. All have defaults; unknown names are `INVALID_OPTION`. */
export interface BatchConsumerOptions<Out = unknown>
  extends Pick<
    ConsumerOptions<Out>,
    'priority' | 'retry' | 'maxPostpones' | 'handlerTimeoutMs' | 'replies' | 'errorStacks' | 'observe'
  > {
  /** A batch closes when it has this many messages. 1 to 2000 (the prefetch limit of quorum queues). Default: 100. */
  readonly size?: number | undefined;
  /** A batch closes this many milliseconds after its first message arrived. 0 to 60,000. Default: 200. */
  readonly waitMs?: number | undefined;
  /**
   * A batch closes before the total size of its message bodies exceeds this many bytes; a larger message is a batch by
   * itself. Default: no limit.
   */
  readonly maxBytes?: number | undefined;
  /** How many batches are handled at once. 1 keeps the order of the queue. At most 100. Default: 1. */
  readonly concurrency?: number | undefined;
  /**
   * Messages share a batch only if this returns the same string for them, for example a tenant or a table. All batches
   * that are being filled share a prefetch of `size` × (`concurrency` + 1). If it throws, the message becomes a dead
   * letter.
   */
  readonly by?: ((value: Out) => string) | undefined;
  /** Functions around each call of the handler. The first is the outermost. See {@link Around}. */
  readonly around?: readonly Around<BatchCallContext<Out>>[] | undefined;
}

/** The context of functions around a batch handler. */
export interface BatchCallContext<Out = unknown> extends Pick<BatchContext<Out>, 'queue' | 'signal'> {
  /** The messages that the handler is called with. */
  readonly batch: readonly BatchItem<Out>[];
}

const OPTION_NAMES: readonly (keyof BatchConsumerOptions)[] = [
  'size',
  'waitMs',
  'maxBytes',
  'concurrency',
  'by',
  'around',
  'priority',
  'retry',
  'maxPostpones',
  'handlerTimeoutMs',
  'replies',
  'errorStacks',
  'observe',
];

/**
 * A consumer that calls `handler` with many messages at a time.
 *
 * ```ts
 * const consumer = createBatchConsumer(broker, rows, async (batch, { fail }) => {
 *   const refused = await table.insert(batch.map(({ value }) => value));
 *   for (const { index, error } of refused) fail(batch[index], error);
 * }, { size: 500, waitMs: 200 });
 * await consumer.start();
 * ```
 *
 * A batch closes at `size` messages, at `maxBytes`, `waitMs` after its first message, and when the consumer stops or
 * pauses. Messages that can't be decoded or fail the schema become dead letters and are in no batch. See
 * {@link BatchHandler} for how messages are settled. Throws `INVALID_OPTION`.
 */
export function createBatchConsumer<Out>(
  broker: Broker,
  queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
  handler: BatchHandler<Out>,
  options: BatchConsumerOptions<NoInfer<Out>> = {},
): Consumer {
  const backend = backendOf(broker);
  checkOptionNames('createBatchConsumer', options, OPTION_NAMES);
  if (typeof handler !== 'function') throw invalidOption('handler', 'a function', handler);
  const { size: _, waitMs, maxBytes, concurrency: __, by, around, ...others } = options;
  if (by !== undefined && typeof by !== 'function') throw invalidOption('by', 'a function of the value', by);
  const size = integerOption('size', options.size, { min: 1, max: 2000, default: 100 });
  const concurrency = integerOption('concurrency', options.concurrency, { min: 1, max: 100, default: 1 });
  // One more than are handled at once, so that the next one can fill up meanwhile.
  const prefetch = Math.min(size * (concurrency + 1), 65_535);
  const settings = checkConsumerOptions<Out>(
    { ...others, concurrency: prefetch, prefetch },
    1,
    queue.spec.delayedRetry,
  );
  const { handlerTimeoutMs } = settings;
  const batcher = new Batcher<Out>(aroundBatch(aroundHandlerOption(around), handler), {
    queue: queue.name,
    broker: backend,
    size,
    concurrency,
    by,
    handlerTimeoutMs,
    waitMs: integerOption('waitMs', waitMs, { min: 0, max: 60_000, default: 200 }),
    maxBytes: integerOption('maxBytes', maxBytes, { min: 1, default: Number.POSITIVE_INFINITY }),
  });
  const { name, spec } = queue;
  const decode: typeof queue.decode = (message, maxBytes) =>
    limited(queue.decode(message, maxBytes), name, handlerTimeoutMs);
  const join: Handler<Out> = (value, context) => batcher.join(value, context);
  return new RunningConsumer(
    backend,
    { name, spec, decode },
    { handler: join, tracked: join, isBatched: true },
    // The time limit applies to a batch, from the call of its handler on.
    { ...settings, handlerTimeoutMs: Number.POSITIVE_INFINITY },
    batcher,
  );
}

function aroundBatch<Out>(
  around: Around<BatchCallContext<Out>> | undefined,
  handler: BatchHandler<Out>,
): BatchHandler<Out> {
  if (around === undefined) return handler;
  return (batch, context) =>
    around(async () => handler(batch, context), {
      queue: context.queue,
      batch,
      get signal() {
        return context.signal;
      },
    });
}

function limited<Out>(
  decoding: DecodedValue<Out> | Promise<DecodedValue<Out>>,
  queue: string,
  timeoutMs: number,
): DecodedValue<Out> | Promise<DecodedValue<Out>> {
  if (!(decoding instanceof Promise)) return decoding;
  return within(decoding, `validating a message of '${queue}'`, { timeoutMs });
}
