import type { DelayedRetry, WaitOptions } from '../broker.js';
import { type Around, aroundHandlerOption } from '../common/hooks/around.js';
import { MAX_ATTEMPTS } from '../common/message/retry-headers.js';
import {
  booleanOption,
  checkOptionNames,
  checkSignal,
  durationOption,
  integerOption,
  invalidOption,
  observerOption,
  wordOption,
} from '../common/options.js';
import type { RepliesTo } from './answer.js';
import type { ConsumerEvent, HandlerContext, StopOptions } from './consumer.js';
import { type BreakerOptions, type BreakerSettings, breakerOption } from './pace/breaker.js';
import type { KeyOf } from './pace/line.js';
import type { LineSettings } from './pace/make-line.js';
import { passedInTime, type Rate, rateOption } from './pace/rate.js';
import { DEFAULT_MAX_POSTPONES, type Retries, type RetryPolicy, retriesOption } from './retry-policy.js';

/** Options of `createConsumer`. All have defaults; unknown names are `INVALID_OPTION`. */
export interface ConsumerOptions<Out = unknown> {
  /** How many handlers run at once. 1 keeps the order of the queue. Default: 1. */
  readonly concurrency?: number | undefined;
  /**
   * The maximum number of unsettled messages, including those being handled. Default: twice `concurrency`, so that the
   * next message is there when a handler ends; with a `key`, ten times, so that there are messages with other keys. Raise
   * it to a few hundred if handlers are faster than a round trip to the broker; lower it to `concurrency` if they take
   * seconds and several workers share the queue.
   */
  readonly prefetch?: number | undefined;
  /**
   * RabbitMQ delivers to the consumers with the highest priority first, and to others only while those have no room in
   * their `prefetch`. -2147483648 to 2147483647. Default: 0. On a local broker `start` rejects with `INVALID_OPTION`.
   * (For one consumer at a time, define the queue with the argument `x-single-active-consumer`.)
   */
  readonly priority?: number | undefined;
  /**
   * Messages with the same key are handled one at a time, in the order of arrival; messages with different keys are handled
   * concurrently, up to `concurrency`. A message with several keys waits until it is first in line for each of them, and
   * holds them all; two messages can never wait for each other. A message without keys (`[]`) never waits.
   *
   * It covers the messages within `prefetch`, of this consumer only. While a failed message waits for its next attempt,
   * other messages with its key go on. A handler that ignores its signal after the time limit loses its key. If the
   * function throws, the message becomes a dead letter.
   */
  readonly key?: KeyOf<Out> | undefined;
  /** How many messages with the same `key` are handled at once. Above 1 their order is lost. Default: 1. */
  readonly maxPerKey?: number | undefined;
  /**
   * At most `limit` handlers of this consumer start in any span of `perMs`. Each consumer has its own limit. A message
   * that has waited 30 seconds for its turn returns to the queue.
   */
  readonly rate?: Rate<Out> | undefined;
  /**
   * Pauses this consumer while its handlers fail, instead of using up the retries of every message: when `failures` of the
   * last `ofLast` handlers have failed, it pauses for `pauseMs`, and then handles one message at a time until one
   * succeeds. `Postpone` and `RejectMessage` don't count as failures.
   */
  readonly breaker?: BreakerOptions | undefined;
  /** When a failed message is retried. Default: after 1, 10 and 60 seconds; then it becomes a dead letter. */
  readonly retry?: RetryPolicy | undefined;
  /**
   * How often a message may be postponed (see `Postpone`) before it becomes a dead letter with the reason `postponed`.
   * Default: 100.
   */
  readonly maxPostpones?: number | undefined;
  /**
   * How long a handler may take, including an asynchronous schema. After that its `signal` is aborted, the attempt counts
   * as failed, and the next message takes its slot. With a `key` the schema has the same time for itself, since it runs
   * ahead. Milliseconds, `Infinity` for no limit. Default: 1,500,000 (25 minutes), which is less than the 30 minutes
   * after which RabbitMQ takes a message back (`consumer_timeout`).
   */
  readonly handlerTimeoutMs?: number | undefined;
  /**
   * Which requests are answered with the return value of the handler. `'ours'`: requests from millrace's requesters and
   * from clients that use RabbitMQ's direct reply-to; their `replyTo` is `millrace.reply.…` or
   * `amq.rabbitmq.reply-to.…`. `'any'`: also requests that name an ordinary queue, as RPC clients with their own reply
   * queue do. With `'any'`, any client that may publish to this queue chooses where this consumer publishes. Default:
   * `'ours'`.
   */
  readonly replies?: 'ours' | 'any' | undefined;
  /**
   * Functions around the handler: each is called with `next` and the handler's context, for every attempt, after the
   * value was decoded and validated. The first is the outermost. Their return value counts as that of the handler, and
   * their errors as its errors. See {@link Around}. For a handler in threads they run outside of its thread, and
   * `next` resolves to its reply as JSON has it; to undefined if the message is no request.
   */
  readonly around?: readonly Around<HandlerContext>[] | undefined;
  /**
   * Whether a message that has failed carries the stack of its last error, and those of its causes: the text that
   * `error.stack` has, at most 4096 bytes, and no other properties. Whoever can read the queue can read it. The texts of
   * errors are kept in any case. Default: true.
   */
  readonly errorStacks?: boolean | undefined;
  /** Called with the outcome of each message. Its errors are ignored. */
  readonly observe?: ((event: ConsumerEvent) => void) | undefined;
}

/** The checked options, with defaults. */
export interface ConsumerSettings<Out> extends LineSettings<Out> {
  readonly concurrency: number;
  readonly prefetch: number;
  readonly priority: number | undefined;
  readonly breaker: BreakerSettings | undefined;
  readonly retries: Retries;
  readonly maxPostpones: number;
  readonly handlerTimeoutMs: number;
  readonly replies: RepliesTo;
  readonly around: Around<HandlerContext> | undefined;
  readonly errorStacks: boolean;
  readonly emit: ((event: ConsumerEvent) => void) | undefined;
}

const OPTION_NAMES: readonly (keyof ConsumerOptions)[] = [
  'concurrency',
  'prefetch',
  'priority',
  'key',
  'maxPerKey',
  'rate',
  'breaker',
  'retry',
  'maxPostpones',
  'handlerTimeoutMs',
  'replies',
  'around',
  'errorStacks',
  'observe',
];

/** Throws `INVALID_OPTION`. */
export function checkConsumerOptions<Out>(
  options: ConsumerOptions<Out> = {},
  defaultConcurrency = 1,
  delayedRetry?: DelayedRetry,
): ConsumerSettings<Out> {
  checkOptionNames('createConsumer', options, OPTION_NAMES);
  const { key } = options;
  if (key !== undefined && typeof key !== 'function') {
    throw invalidOption('key', 'a function of the value', key);
  }
  const concurrency = integerOption('concurrency', options.concurrency, {
    min: 1,
    max: 65_535,
    default: defaultConcurrency,
  });
  const rate = rateOption(options.rate);
  const ahead = (key === undefined && rate?.key === undefined ? 2 : 10) * concurrency;
  // Without keys nothing overtakes a waiting message: a larger prefetch would only keep messages from other consumers.
  const passing = rate === undefined || rate.key !== undefined ? ahead : passedInTime(rate);
  const prefetch = integerOption('prefetch', options.prefetch, {
    min: 1,
    max: 65_535,
    default: Math.max(concurrency, Math.min(ahead, passing, 65_535)),
  });
  if (options.maxPerKey !== undefined && key === undefined) {
    throw invalidOption('maxPerKey', 'a key to go with it', options.maxPerKey);
  }
  if (prefetch < concurrency) {
    throw invalidOption('prefetch', `at least the concurrency of ${concurrency}`, prefetch);
  }
  return {
    concurrency,
    prefetch,
    priority:
      options.priority === undefined
        ? undefined
        : integerOption('priority', options.priority, { min: -(2 ** 31), max: 2 ** 31 - 1, default: 0 }),
    key,
    maxPerKey: integerOption('maxPerKey', options.maxPerKey, { min: 1, max: 65_535, default: 1 }),
    rate,
    breaker: breakerOption(options.breaker),
    retries: retriesOption(options.retry, delayedRetry),
    maxPostpones: integerOption('maxPostpones', options.maxPostpones, {
      min: 0,
      max: MAX_ATTEMPTS,
      default: DEFAULT_MAX_POSTPONES,
    }),
    handlerTimeoutMs: durationOption('handlerTimeoutMs', options.handlerTimeoutMs, {
      min: 1,
      infinity: true,
      default: 1_500_000,
    }),
    replies: wordOption('replies', options.replies, ['ours', 'any'], 'ours'),
    around: aroundHandlerOption(options.around),
    errorStacks: booleanOption('errorStacks', options.errorStacks, true),
    emit: observerOption(options.observe),
  };
}

/** The limits of `start` and `resume`. */
export function startLimits(method: 'start' | 'resume', options: WaitOptions): WaitOptions {
  checkOptionNames(method, options, ['signal', 'timeoutMs']);
  checkSignal(options.signal);
  const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: 30_000 });
  return { signal: options.signal, timeoutMs };
}

/** The deadline of `stop`. Throws `INVALID_OPTION`. */
export function stopDeadlineMs(options: StopOptions): number {
  checkOptionNames('stop', options, ['deadlineMs']);
  return durationOption('deadlineMs', options.deadlineMs, { infinity: true, default: 30_000 });
}
