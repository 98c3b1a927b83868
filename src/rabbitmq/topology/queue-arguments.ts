/** The queues of the toolkit as RabbitMQ is asked for them. Pure. */
import { createHash } from 'node:crypto';
import type { Options } from 'amqplib';
import type { DelayedRetry, QueueSpec } from '../../broker.js';
import { CLASSIC_LENGTH_OFFSET } from '../connection/broker-errors.js';
import type { ServerVersion } from '../connection/server-version.js';

const MAX_NAME_BYTES = 255;

type Arguments = Readonly<Record<string, unknown>>;

export type QueueOptions = Options.AssertQueue & { readonly arguments: Arguments };

export interface QueueDeclaration {
  readonly name: string;
  readonly options: QueueOptions;
  /**
   * As the same definition was declared on another version of the server, or by an earlier version of the toolkit.
   * Queues outlive both, and their arguments can't be changed: such a queue is taken as it is.
   */
  readonly earlier: readonly QueueOptions[];
}

/**
 * The queue of a definition. The type is always declared: the default depends on the version of the server and on its
 * virtual host. Where the definition shares its queue with other programs (`if-missing`), only what it asks for by name
 * is declared, so that their declarations agree with it.
 */
export function queueDeclaration(spec: QueueSpec, version: ServerVersion): QueueDeclaration {
  const { name, durable, exclusive, autoDelete } = spec;
  const forms = combinations(
    spec.type === 'classic' ? classicCapacityForms(spec.capacity) : [capacityArguments(spec.capacity)],
    spec.type === 'quorum' ? deliveryLimitForms(spec.deliveryLimit, version) : [{}],
    delayedRetryForms(delayedRetryOf(spec, version)),
  );
  return declarationOf(
    name,
    forms.map((form) => ({
      durable,
      exclusive,
      autoDelete,
      arguments: {
        'x-queue-type': spec.type,
        ...deadLetterArgumentsOf(spec),
        ...form,
        ...(spec.maxPriority === undefined ? {} : { 'x-max-priority': spec.maxPriority }),
        ...spec.arguments,
      },
    })),
  );
}

/**
 * A dead-letter queue. It is a durable quorum queue whatever its main queue is, since it holds the only copies. It never
 * drops a message: over its capacity it refuses, and no reader that dies again and again uses up a delivery limit.
 */
export function deadLetterQueueDeclaration(
  name: string,
  capacity: number | undefined,
  version: ServerVersion,
): QueueDeclaration {
  return declarationOf(
    name,
    deliveryLimitForms(Number.POSITIVE_INFINITY, version).map((form) => ({
      durable: true,
      arguments: { 'x-queue-type': 'quorum', ...capacityArguments(capacity), ...form },
    })),
  );
}

/**
 * Where a retried message of `queue` waits for `delayMs`, before it moves on to the ready queue. One queue for each delay:
 * in a queue with several, a message is held up by those before it. The broker keeps it until it has arrived. The wait
 * queue of an exclusive queue is as transient: left behind, it would keep messages that have nowhere to go.
 *
 * Earlier versions had the broker move messages straight to `queue`.
 */
export function waitQueueDeclaration(queue: string, delayMs: number, exclusive: boolean): QueueDeclaration {
  return declarationOf(
    auxiliaryName(queue, `.retry.${delayMs}`),
    [readyQueueName(queue), queue].map((next) => delayingOptions(delayMs, next, exclusive)),
  );
}

/** Without any subscriber of `queue` that does it, the broker itself moves the messages back after this time. */
const UNATTENDED_MS = 60_000;

export function readyQueueName(queue: string): string {
  return auxiliaryName(queue, '.retry.ready');
}

/** AMQP carries names of 255 bytes. Where one has no room for the addition, a digest stands for its end. */
function auxiliaryName(queue: string, addition: string): string {
  const name = queue + addition;
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return name;
  const digest = createHash('sha256').update(queue).digest('hex').slice(0, 16);
  const begin = Buffer.from(queue).subarray(0, MAX_NAME_BYTES - 18 - addition.length);
  // Not within a character.
  return `${begin.toString().replace(/\ufffd+$/, '')}~${digest}${addition}`;
}

/**
 * Where retried messages of `queue` are when their wait is over. Subscribers of `queue` move them back, when it exists and
 * has room. The broker's own way is not enough: what a full or missing queue does not take it tries again only after three
 * minutes (`dead_letter_worker_publisher_confirm_timeout`). So that is only for messages without a consumer.
 */
export function readyQueueDeclaration(queue: string, exclusive: boolean): QueueDeclaration {
  return declarationOf(readyQueueName(queue), [delayingOptions(UNATTENDED_MS, queue, exclusive)]);
}

function delayingOptions(delayMs: number, next: string, exclusive: boolean): QueueOptions {
  const type = exclusive ? 'classic' : 'quorum';
  return {
    durable: !exclusive,
    exclusive,
    arguments: { 'x-queue-type': type, 'x-message-ttl': delayMs, ...deadLetterArguments(type, next) },
  };
}

/** The delays that a queue is declared with; undefined if they have no effect. */
export function delayedRetryOf(
  { type, declare, delayedRetry, arguments: given }: QueueSpec,
  { delaysRetries }: ServerVersion,
): DelayedRetry | undefined {
  if (!delaysRetries || type !== 'quorum' || declare !== 'match') return undefined;
  // The application's own arguments take precedence.
  const overruled = Object.keys(given).some((name) => /^x-(delayed-retry-|delivery-limit$)/.test(name));
  return overruled ? undefined : delayedRetry;
}

/**
 * Whether a message that failed `returns` times before waits for just `delayMs` when it fails once more in a queue that
 * delays retries itself: for the nth time min(n × min, max). Each of these failures counts for the delivery limit, at
 * which the broker gives the message up whatever its consumer's policy is. So they use half of it at most; stored anew,
 * by way of a wait queue, a message counts from 0.
 */
export function isDelayOf(
  { delayedRetry, deliveryLimit }: Pick<QueueSpec, 'delayedRetry' | 'deliveryLimit'>,
  returns: number,
  delayMs: number,
): boolean {
  if (delayedRetry === undefined || deliveryLimit === undefined) return false;
  const { minMs, maxMs } = delayedRetry;
  return returns + 1 <= deliveryLimit / 2 && delayMs === Math.min((returns + 1) * minMs, maxMs);
}

/** Refuse a publish rather than drop the oldest message, which is what RabbitMQ does by default. */
function capacityArguments(
  capacity: number | undefined,
): { 'x-max-length': number; 'x-overflow': string } | Record<string, never> {
  if (capacity === undefined || capacity === Number.POSITIVE_INFINITY) return {};
  return { 'x-max-length': capacity, 'x-overflow': 'reject-publish' };
}

/**
 * A limit counts ready messages only. At a restart, when unsettled ones are ready again, a classic queue drops what is
 * over it from its head, `reject-publish` or not. So its publishers keep the capacity (see BoundedTarget), and the limit
 * is one that no queue reaches, there to tell definitions apart. Earlier versions of the toolkit declared the capacity.
 */
function classicCapacityForms(capacity: number | undefined): readonly Arguments[] {
  const limit = capacityArguments(capacity);
  if (!('x-max-length' in limit)) return [{}];
  return [capacityArguments(limit['x-max-length'] + CLASSIC_LENGTH_OFFSET), limit];
}

/**
 * Since 4.0 there is a default limit, which -1 lifts; before there was none, and no -1. A queue from before an upgrade
 * gets the default limit, unless a policy lifts it.
 */
function deliveryLimitForms(
  limit: number | undefined,
  { limitsDeliveries }: ServerVersion,
): readonly Arguments[] {
  if (limit === undefined) return [{}];
  if (limit !== Number.POSITIVE_INFINITY) return [{ 'x-delivery-limit': limit }];
  return limitsDeliveries ? [{ 'x-delivery-limit': -1 }, {}] : [{}];
}

const DELAYED_RETRY_TYPE = 'x-delayed-retry-type';

/** Whether a queue with these properties delays retries itself. */
export function delaysRetries(options: QueueOptions): boolean {
  return DELAYED_RETRY_TYPE in options.arguments;
}

/**
 * https://www.rabbitmq.com/docs/quorum-queues#delayed-retry (4.3). `failed`: what is given back at no cost comes again
 * at once. When the server, or the definition, had no delayed retries yet, the queue was declared without: then retries
 * wait in wait queues.
 */
function delayedRetryForms(delayedRetry: DelayedRetry | undefined): readonly Arguments[] {
  if (delayedRetry === undefined) return [{}];
  const { minMs, maxMs } = delayedRetry;
  return [{ [DELAYED_RETRY_TYPE]: 'failed', 'x-delayed-retry-min': minMs, 'x-delayed-retry-max': maxMs }, {}];
}

/** One of each list, in all ways; the first is the first of each. */
function combinations(...lists: (readonly Arguments[])[]): readonly Arguments[] {
  return lists.reduce((all, list) => all.flatMap((one) => list.map((other) => ({ ...one, ...other }))), [{}]);
}

function declarationOf(name: string, [options, ...earlier]: readonly QueueOptions[]): QueueDeclaration {
  if (options === undefined) throw new Error('a queue has at least one form');
  return { name, options, earlier };
}

function deadLetterArgumentsOf({ declare, type, deadLetter }: QueueSpec): Arguments {
  return deadLetter === false || declare !== 'match' ? {} : deadLetterArguments(type, deadLetter.queue);
}

/** At-least-once dead-lettering is for quorum queues, and requires `reject-publish` there. */
function deadLetterArguments(type: 'quorum' | 'classic', queue: string): Arguments {
  const to = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue };
  if (type === 'classic') return to;
  return { ...to, 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' };
}
