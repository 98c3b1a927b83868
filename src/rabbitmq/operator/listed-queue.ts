/** Converts the management API's list into the queues that an operator sees. */
import type { QueueFigure, QueueInfo, QueueRates } from '../../broker.js';
import { CLASSIC_LENGTH_OFFSET } from '../connection/broker-errors.js';
import { DELAY_PREFIX } from '../wire/origin.js';

/**
 * A queue as it is listed. Any field may be missing: a new queue has no statistics, and plugins have their own types.
 */
export interface ListedQueue {
  readonly name: string;
  readonly vhost: string;
  readonly type?: unknown;
  readonly arguments?: Readonly<Record<string, unknown>>;
  readonly effective_policy_definition?: Readonly<Record<string, unknown>>;
  readonly auto_delete?: unknown;
  readonly exclusive?: unknown;
  readonly consumers?: unknown;
  readonly messages?: unknown;
  readonly messages_ready?: unknown;
  readonly messages_unacknowledged?: unknown;
  /** Since 4.3: held back by the queue itself. */
  readonly messages_delayed?: unknown;
  /** Of quorum queues: expired, and not stored in the next queue yet. Not among `messages`. */
  readonly messages_dlx?: unknown;
  readonly message_bytes?: unknown;
  /** Seconds; classic queues only, and only if their messages have timestamps. */
  readonly head_message_timestamp?: unknown;
  readonly message_stats?: Readonly<Record<string, unknown>>;
}

/** What the configuration of the server lets it report. */
export interface ServerStatistics {
  /** Not with `management.disable_stats` or `management_agent.disable_metrics_collector`. */
  readonly collected: boolean;
  /** Not with `management_agent.rates_mode = none` either. */
  readonly rates: boolean;
}

/** The requested fields: without this, a response is several times as large. */
export const COLUMNS = [
  'name',
  'vhost',
  'type',
  'arguments',
  'effective_policy_definition',
  'auto_delete',
  'exclusive',
  'consumers',
  'messages',
  'messages_ready',
  'messages_unacknowledged',
  'messages_delayed',
  'messages_dlx',
  'message_bytes',
  'head_message_timestamp',
  'message_stats.publish_details.rate',
  'message_stats.ack_details.rate',
  'message_stats.deliver_no_ack_details.rate',
  'message_stats.get_no_ack_details.rate',
].join(',');

const AUXILIARY = /\.retry\.(?:(?:step\.)?\d+|ready)$/;
const LADDER = new RegExp(`^${DELAY_PREFIX.replaceAll('.', '\\.')}\\d+$`);

/** Whether it is one of those in which delayed messages of all queues wait. */
export function isLadder({ name }: ListedQueue): boolean {
  return LADDER.test(name);
}

/** The queue whose retries wait in this one, by its arguments: names that are too long end in a digest. */
export function retriedQueue(
  queue: ListedQueue,
  byName: ReadonlyMap<string, ListedQueue>,
): string | undefined {
  let next = retryTarget(queue);
  // Wait queues lead to the ready queue, and that leads to the queue itself.
  const ready = next === undefined ? undefined : byName.get(next);
  if (ready !== undefined) next = retryTarget(ready) ?? next;
  return next;
}

function retryTarget({ name, arguments: given = {} }: ListedQueue): string | undefined {
  if (!AUXILIARY.test(name) || typeof given['x-message-ttl'] !== 'number') return undefined;
  const target = given['x-dead-letter-routing-key'];
  return given['x-dead-letter-exchange'] === '' && typeof target === 'string' ? target : undefined;
}

/** The name of its dead-letter queue; null: none; undefined: its dead letters go to an exchange. */
export function deadLetterQueueOf(
  { name, arguments: given = {}, effective_policy_definition: policy = {} }: ListedQueue,
  exists: (queue: string) => boolean,
): string | null | undefined {
  const exchange = given['x-dead-letter-exchange'] ?? policy['dead-letter-exchange'];
  if (exchange === undefined) {
    // Consumers of a queue that was declared elsewhere put its dead letters there.
    return exists(`${name}.dead`) ? `${name}.dead` : null;
  }
  const key = given['x-dead-letter-routing-key'] ?? policy['dead-letter-routing-key'];
  return exchange === '' && typeof key === 'string' ? key : undefined;
}

/** The auxiliary queues of a queue. */
interface Surroundings {
  /** In which its retries wait. */
  readonly waiting: readonly ListedQueue[];
  /** Undefined: it has none, or its dead letters go elsewhere. */
  readonly dead: ListedQueue | undefined;
  readonly deadLetterQueue: string | null | undefined;
  readonly statistics: ServerStatistics;
}

const NOT_YET = 'the management API has no statistics for the queue yet';
export const NO_STATISTICS = 'the server is configured to collect no statistics';

export function infoOf(queue: ListedQueue, around: Surroundings): QueueInfo {
  const unknown: Partial<Record<QueueFigure, string>> = {};
  const known = <T>(figure: QueueFigure, value: T | undefined, reason: string): T | undefined => {
    if (value === undefined) unknown[figure] = reason;
    return value;
  };
  const ready = numberOf(queue.messages_ready) ?? 0;
  const { waiting, dead, deadLetterQueue, statistics } = around;
  const missing = statistics.collected ? NOT_YET : NO_STATISTICS;
  return {
    name: queue.name,
    type: typeof queue.type === 'string' ? queue.type : undefined,
    capacity: capacityOf(queue),
    deadLetterQueue,
    exclusive: typeof queue.exclusive === 'boolean' ? queue.exclusive : undefined,
    autoDelete: typeof queue.auto_delete === 'boolean' ? queue.auto_delete : undefined,
    paused: false,
    internal: isLadder(queue) || retryTarget(queue) !== undefined,
    ready,
    consumers: known(
      'consumers',
      // A new queue has no statistics, and no consumers.
      numberOf(queue.consumers) ?? (statistics.collected ? 0 : undefined),
      missing,
    ),
    unsettled: known('unsettled', numberOf(queue.messages_unacknowledged), missing),
    delayed: known('delayed', statistics.collected ? delayedIn(queue, waiting) : undefined, missing),
    dead: known(
      'dead',
      deadLetterQueue === null
        ? 0
        : dead === undefined && deadLetterQueue !== undefined
          ? 0
          : numberOf(dead?.messages),
      deadLetterQueue === undefined ? 'its dead letters go to an exchange' : missing,
    ),
    oldestAgeMs: known('oldestAgeMs', ageOf(queue, ready), 'RabbitMQ does not report the age of messages'),
    bytes: known(
      'bytes',
      sum([queue, ...waiting], ({ message_bytes }) => message_bytes),
      missing,
    ),
    rates: known(
      'rates',
      statistics.rates ? ratesOf(queue) : undefined,
      statistics.collected ? 'the server is configured not to count rates' : NO_STATISTICS,
    ),
    unknown,
  };
}

/** Undefined before the first statistics of each of them. */
function delayedIn(queue: ListedQueue, waiting: readonly ListedQueue[]): number | undefined {
  if (numberOf(queue.messages) === undefined) return undefined;
  const own = numberOf(queue.messages_delayed) ?? 0;
  const others = sum(waiting, ({ messages }) => messages);
  return others === undefined ? undefined : own + others;
}

function sum(queues: readonly ListedQueue[], figureOf: (queue: ListedQueue) => unknown): number | undefined {
  let total = 0;
  for (const queue of queues) {
    const figure = numberOf(figureOf(queue));
    if (figure === undefined) return undefined;
    total += figure;
  }
  return total;
}

function ageOf({ head_message_timestamp: seconds }: ListedQueue, ready: number): number | undefined {
  if (ready === 0) return 0;
  return typeof seconds === 'number' ? Math.max(0, Date.now() - seconds * 1000) : undefined;
}

function ratesOf({ message_stats: stats = {} }: ListedQueue): QueueRates {
  const rate = (name: string) =>
    numberOf((stats[`${name}_details`] as { readonly rate?: unknown } | undefined)?.rate) ?? 0;
  return { in: rate('publish'), out: rate('ack') + rate('deliver_no_ack') + rate('get_no_ack') };
}

function capacityOf({
  type,
  arguments: given = {},
  effective_policy_definition: policy = {},
}: ListedQueue): number {
  const limits = [numberOf(given['x-max-length']), numberOf(policy['max-length'])].map((limit) =>
    // See `classicCapacityForms`.
    type === 'classic' && limit !== undefined && limit >= CLASSIC_LENGTH_OFFSET
      ? limit - CLASSIC_LENGTH_OFFSET
      : (limit ?? Number.POSITIVE_INFINITY),
  );
  return Math.min(...limits);
}

export function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
