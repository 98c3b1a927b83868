/** Shared by the brokers in memory and on disk. */
import type {
  BrokerCounts,
  Destination,
  Message,
  PublishOptions,
  QueueRates,
  QueueSpec,
  QueueStats,
  SubscribeOptions,
  WaitOptions,
} from '../broker.js';
import { deadLetterSpecOf } from '../common/definitions/queue-spec.js';
import { copiedHeaders, copyMessage } from '../common/message/create-and-check.js';
import { checkWaitOptions, quote } from '../common/options.js';
import { throwIfAborted } from '../common/waiting/waiting.js';
import { QueueError } from '../errors.js';

/** A local broker has no connections that could be lost. */
export const NO_LINK_COUNTS: BrokerCounts = Object.freeze({
  resent: 0,
  disconnected: 0,
  blocked: 0,
  unsubscribed: 0,
  resubscribed: 0,
});

/** Throws `INVALID_OPTION` and `ABORTED`. */
export function checkWait(action: string, options: WaitOptions | undefined): void {
  checkWaitOptions(options);
  throwIfAborted(options?.signal, action);
}

/**
 * The figures that all local queues share. `oldest`: the earliest timestamp of a ready message; infinite: none has one.
 * `rates`: undefined for the first query.
 */
export function localFigures(
  ready: number,
  oldest: number,
  rates: QueueRates | undefined,
): Pick<QueueStats, 'oldestAgeMs' | 'bytes' | 'rates' | 'unknown'> {
  const isKnown = ready === 0 || oldest !== Number.POSITIVE_INFINITY;
  const unknown: { -readonly [Figure in keyof QueueStats['unknown']]: string } = {
    bytes: 'counting the bytes of a local queue would require reading all of its messages',
  };
  if (!isKnown) unknown.oldestAgeMs = 'the messages at the head of the queue have no timestamp';
  if (rates === undefined)
    unknown.rates = 'in memory, rates are available from the second query of a queue onwards';
  return {
    oldestAgeMs: ready === 0 ? 0 : isKnown ? Math.max(0, Date.now() - oldest) : undefined,
    bytes: undefined,
    rates,
    unknown,
  };
}

/** The error for a message that no queue takes. `isExchange`: whether the exchange exists. */
export function unroutable(
  { exchange, routingKey }: Destination,
  id: string,
  isExchange: boolean,
): QueueError {
  const why =
    exchange === ''
      ? `there is no queue ${quote(routingKey)}: declare it first, or check the name`
      : isExchange
        ? `no queue is bound to the exchange ${quote(exchange)} for the routing key ${quote(routingKey)}`
        : `there is no exchange ${quote(exchange)}: declare it first, or check the name`;
  return new QueueError('UNROUTABLE', `message ${id} was not stored: ${why}`);
}

/** Throws `UNROUTABLE`, or resolves to false if `mandatory` is false. */
export async function unrouted(
  to: Destination,
  { id }: Message,
  isExchange: boolean,
  options: PublishOptions | undefined,
): Promise<boolean> {
  if (options?.mandatory === false) return false;
  throw unroutable(to, id, isExchange);
}

/** Throws `INVALID_OPTION` for options that only RabbitMQ supports. */
export function refuseUnknown({ priority }: SubscribeOptions): void {
  if (priority === undefined) return;
  throw new QueueError(
    'INVALID_OPTION',
    'priority: local brokers do not support consumer priorities; only RabbitMQ does',
  );
}

export function closedError(): QueueError {
  return new QueueError('CLOSED', 'the local broker was closed');
}

/** A copy of a checked message, which the sender can't change any more. Throws `INVALID_MESSAGE` for its headers. */
export function takeIn(message: Message, to: Destination): Message {
  const copy = copyMessage(message, copiedHeaders(message));
  const { exchange, routingKey } = to;
  if (exchange === '' || (copy.origin === to && Object.isFrozen(to))) return copy;
  return { ...copy, origin: Object.freeze({ exchange, routingKey }) };
}

/** Where the dead letters of a queue go, according to the latest definition. */
export interface DeadLetterTarget {
  /** The name of the queue for them, which may have been removed; undefined: they are dropped. */
  readonly deadLetterQueue: string | undefined;
  /** The capacity of that queue if it has to be created again; undefined: no limit. */
  readonly deadLetterCapacity: number | undefined;
}

export function deadLetterTargetOf(spec: Pick<QueueSpec, 'name' | 'capacity'> | undefined): DeadLetterTarget {
  return { deadLetterQueue: spec?.name, deadLetterCapacity: spec?.capacity };
}

/** The definition of a dead-letter queue that was removed; undefined: there was none. */
export function missingDeadLetterSpec(target: DeadLetterTarget): QueueSpec | undefined {
  const { deadLetterQueue: queue, deadLetterCapacity: capacity } = target;
  return queue === undefined ? undefined : deadLetterSpecOf({ deadLetter: { queue, capacity } });
}

/**
 * Whether a definition says where the dead letters of an existing queue go from now on. One that uses the queue as it is
 * does if that has no dead-letter queue, or if it names another one than the usual and the old one was removed: an
 * additional queue is better than dropped messages, or than one that nobody reads. `exists`: whether there is a queue of
 * that name.
 */
export function changesDeadLetterTarget(
  { name, declare }: QueueSpec,
  to: QueueSpec,
  { deadLetterQueue, deadLetterCapacity }: DeadLetterTarget,
  exists: (name: string) => boolean,
): boolean {
  const decides = declare === 'match';
  // Without a capacity, it uses the queue as it is.
  if (deadLetterQueue === to.name)
    return deadLetterCapacity !== to.capacity && (decides || to.capacity !== undefined);
  if (decides || deadLetterQueue === undefined) return true;
  return to.name !== `${name}.dead` && !exists(deadLetterQueue);
}

export function queueMissing(name: string): QueueError {
  return new QueueError(
    'QUEUE_MISSING',
    `there is no queue ${quote(name)} on the local broker: declare it first, or check the name`,
  );
}
