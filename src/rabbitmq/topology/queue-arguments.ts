import type { Options } from 'amqplib';
import type { DelayedRetry, QueueSpec } from '../../broker.js';
import type { ServerVersion } from '../connection/server-version.js';

/** A queue as the broker is asked for it. */
export interface QueueDeclaration {
  readonly name: string;
  readonly options: Options.AssertQueue & { readonly arguments: Readonly<Record<string, unknown>> };
}

/**
 * The queue of a definition. The type is always said: what a server takes for unsaid depends on its version and
 * on its virtual host. Where the definition shares its queue with other programs (`if-missing`), what it did not
 * ask for by name is left out, so that their declarations fit.
 */
export function queueDeclaration(
  spec: QueueSpec,
  version: ServerVersion,
  delayedRetry?: DelayedRetry,
): QueueDeclaration {
  const deadLetter =
    spec.deadLetter === false || spec.declare !== 'match'
      ? {}
      : deadLetterArguments(spec.type, spec.deadLetter.queue);
  return {
    name: spec.name,
    options: {
      durable: spec.durable,
      exclusive: spec.exclusive,
      autoDelete: spec.autoDelete,
      arguments: {
        'x-queue-type': spec.type,
        ...capacityArguments(spec.capacity),
        ...deadLetter,
        ...(spec.type === 'quorum' ? deliveryLimitArguments(spec.deliveryLimit, version) : {}),
        ...delayedRetryArguments(delayedRetry),
        ...(spec.maxPriority === undefined ? {} : { 'x-max-priority': spec.maxPriority }),
        ...spec.arguments,
      },
    },
  };
}

/**
 * A dead-letter queue. It is a durable quorum queue whatever its main queue is, since it holds the only copies.
 * It never drops one: over its capacity it refuses, and a reader that dies again and again uses nothing up.
 */
export function deadLetterQueueDeclaration(
  name: string,
  capacity: number | undefined,
  version: ServerVersion,
): QueueDeclaration {
  return {
    name,
    options: {
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        ...capacityArguments(capacity),
        ...deliveryLimitArguments(Number.POSITIVE_INFINITY, version),
      },
    },
  };
}

/**
 * Where a retried message waits for `delayMs`, before it moves on to `next`. One queue a delay: in a queue with
 * several, a message is held up by those before it. The broker keeps it until it has arrived there. That of an
 * exclusive queue is as transient: left behind, it would keep messages that have nowhere to go.
 */
export function waitQueueDeclaration(
  name: string,
  delayMs: number,
  next: string,
  exclusive: boolean,
): QueueDeclaration {
  const type = exclusive ? 'classic' : 'quorum';
  return {
    name,
    options: {
      durable: !exclusive,
      exclusive,
      arguments: { 'x-queue-type': type, 'x-message-ttl': delayMs, ...deadLetterArguments(type, next) },
    },
  };
}

/** After this time without any subscriber of `queue` that would do it, the broker itself brings them back. */
const UNATTENDED_DUE_MS = 60_000;

/**
 * Where retried messages of a queue with a capacity are when their wait is over, to be brought back when there is
 * room. The broker's own way back is not enough there: what a full queue refuses, it tries again only after three
 * minutes (`dead_letter_worker_publisher_confirm_timeout`).
 */
export function dueQueueDeclaration(name: string, queue: string, exclusive: boolean): QueueDeclaration {
  return waitQueueDeclaration(name, UNATTENDED_DUE_MS, queue, exclusive);
}

/** Rather refuse a publish than drop the oldest message, which is what RabbitMQ does unless told otherwise. */
function capacityArguments(capacity: number | undefined): Record<string, unknown> {
  if (capacity === undefined || capacity === Number.POSITIVE_INFINITY) return {};
  return { 'x-max-length': capacity, 'x-overflow': 'reject-publish' };
}

/** A server that has no limit unless told otherwise takes no -1, which lifts it elsewhere. */
function deliveryLimitArguments(limit: number | undefined, version: ServerVersion): Record<string, unknown> {
  if (limit === undefined) return {};
  if (limit !== Number.POSITIVE_INFINITY) return { 'x-delivery-limit': limit };
  return version.limitsDeliveries ? { 'x-delivery-limit': -1 } : {};
}

/** `failed`: what is given back at no cost comes again at once. */
function delayedRetryArguments(delayedRetry: DelayedRetry | undefined): Record<string, unknown> {
  if (delayedRetry === undefined) return {};
  return {
    'x-delayed-retry-type': 'failed',
    'x-delayed-retry-min': delayedRetry.minMs,
    'x-delayed-retry-max': delayedRetry.maxMs,
  };
}

/** At-least-once dead-lettering is for quorum queues, and wants `reject-publish` there. */
function deadLetterArguments(type: 'quorum' | 'classic', queue: string): Record<string, unknown> {
  const to = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue };
  if (type === 'classic') return to;
  return { ...to, 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' };
}
