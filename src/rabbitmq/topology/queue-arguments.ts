/** The declarations of the toolkit's queues for RabbitMQ. */
import { createHash } from 'node:crypto';
import type { Options } from 'amqplib';
import type { DelayedRetry, QueueSpec } from '../../broker.js';
import { CLASSIC_LENGTH_OFFSET } from '../connection/broker-errors.js';
import type { ServerVersion } from '../connection/server-version.js';
import type { RetryDelay } from './retry-delay-steps.js';

const MAX_NAME_BYTES = 255;

type Arguments = Readonly<Record<string, unknown>>;

export type QueueOptions = Options.AssertQueue & { readonly arguments: Arguments };

export interface QueueDeclaration {
  readonly name: string;
  readonly options: QueueOptions;
  /**
   * How the same definition was declared on other server versions, or by earlier versions of the toolkit. Queues
   * outlive both, and their arguments can't be changed, so such a queue is used as it is.
   */
  readonly earlier: readonly QueueOptions[];
}

/**
 * The queue of a definition. The type is always declared, because the default depends on the server version and on the
 * virtual host. If the definition shares its queue with other programs (`if-missing`), only properties that were set
 * explicitly are declared, so that the declarations of those programs match.
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
 * A dead-letter queue. It holds the only copy of each message, so it is a durable quorum queue regardless of its main
 * queue, and it never drops a message: at its capacity it refuses more, and it has no delivery limit that a reader
 * which keeps crashing could use up.
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
 * The queue in which retried messages of `queue` wait for the delay before the broker moves them to the ready queue.
 * There is one queue per delay: with several delays in one queue, messages would be held up by those ahead of them. A
 * step has a name of its own, so that the queue of a listed delay is used by policies that list it, and by nothing else. The
 * broker removes a message only when the next queue has stored it. The wait queue of an exclusive queue is just as
 * transient, since it would otherwise keep messages that have nowhere to go.
 *
 * Earlier versions had the broker move messages straight to `queue`.
 */
export function waitQueueDeclaration(
  queue: string,
  { ms, isStep }: RetryDelay,
  exclusive: boolean,
): QueueDeclaration {
  return declarationOf(
    ownedName(queue, isStep ? `.retry.step.${ms}` : `.retry.${ms}`),
    [readyQueueName(queue), queue].map((next) => delayingOptions(ms, next, exclusive)),
  );
}

/** If no subscriber of `queue` does it first, the broker moves the messages back after this time. */
const UNATTENDED_MS = 60_000;

export function readyQueueName(queue: string): string {
  return ownedName(queue, '.retry.ready');
}

/** AMQP limits names to 255 bytes. In a name without room for the addition, a digest replaces the end. */
function ownedName(queue: string, addition: string): string {
  const name = queue + addition;
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return name;
  const digest = createHash('sha256').update(queue).digest('hex').slice(0, 16);
  const begin = Buffer.from(queue).subarray(0, MAX_NAME_BYTES - 18 - addition.length);
  // Don't cut a character in half.
  return `${begin.toString().replace(/\ufffd+$/, '')}~${digest}${addition}`;
}

/**
 * The queue for retried messages of `queue` whose delay is over. Subscribers of `queue` move them back as soon as the
 * queue exists and has room. The broker would also move them, but after a full or missing queue refuses a message it
 * waits three minutes before the next attempt (`dead_letter_worker_publisher_confirm_timeout`). So the broker does it
 * only for queues without a consumer.
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
 * Whether a queue that delays retries itself would delay a message that has failed `returns` times by exactly `delayMs`
 * when it fails again: the nth delay is min(n × min, max). Each such failure counts towards the delivery limit, at
 * which the broker gives up the message regardless of the consumer's policy. So these retries use at most half of the
 * limit; a message that goes through a wait queue is stored anew and counts from 0.
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

/** Refuse a publish rather than drop the oldest message, RabbitMQ's default. */
function capacityArguments(
  capacity: number | undefined,
): { 'x-max-length': number; 'x-overflow': string } | Record<string, never> {
  if (capacity === undefined || capacity === Number.POSITIVE_INFINITY) return {};
  return { 'x-max-length': capacity, 'x-overflow': 'reject-publish' };
}

/**
 * A length limit counts ready messages only. At a restart unsettled messages become ready again, and a classic queue
 * then drops messages over the limit from its head, even with `reject-publish`. So publishers enforce the capacity (see
 * BoundedTarget); the declared limit is one that no queue reaches, and only serves to detect differing definitions.
 * Earlier versions of the toolkit declared the capacity itself.
 */
function classicCapacityForms(capacity: number | undefined): readonly Arguments[] {
  const limit = capacityArguments(capacity);
  if (!('x-max-length' in limit)) return [{}];
  return [capacityArguments(limit['x-max-length'] + CLASSIC_LENGTH_OFFSET), limit];
}

/**
 * Since 4.0 there is a default limit, which -1 removes. Earlier versions have no default limit and refuse -1. A queue
 * from before an upgrade gets the default limit, unless a policy removes it.
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
 * https://www.rabbitmq.com/docs/quorum-queues#delayed-retry (4.3). `failed`: messages that are returned at no cost are
 * redelivered at once. A queue that was declared before the server or the definition had delayed retries does without;
 * its retries wait in wait queues.
 */
function delayedRetryForms(delayedRetry: DelayedRetry | undefined): readonly Arguments[] {
  if (delayedRetry === undefined) return [{}];
  const { minMs, maxMs } = delayedRetry;
  return [{ [DELAYED_RETRY_TYPE]: 'failed', 'x-delayed-retry-min': minMs, 'x-delayed-retry-max': maxMs }, {}];
}

/** All combinations of one element of each list; the first combines the first elements. */
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
