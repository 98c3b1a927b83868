/** Shared by the brokers in memory and on disk. */
import {
  type BrokerCounts,
  type Destination,
  MAX_PRIORITY,
  type Message,
  type PublishOptions,
  type QueueStats,
  type SubscribeOptions,
} from '../broker.js';
import { checkHeaderName, copyHeaders, type HeaderFault } from '../common/headers.js';
import { copyMessage } from '../common/message.js';
import { quote } from '../common/options.js';
import { QueueError } from '../errors.js';

/** A local broker has no connections that could be lost. */
export const NO_LINK_COUNTS: BrokerCounts = Object.freeze({
  resent: 0,
  disconnected: 0,
  blocked: 0,
  unsubscribed: 0,
  resubscribed: 0,
});

const UNKNOWN: QueueStats['unknown'] = Object.freeze({
  bytes: 'counting the bytes of a local queue would read all of its messages',
  rates: 'local queues keep no rates; take the difference of two counts',
});

/** What is the same for all queues here. `oldest`: the earliest timestamp of a ready message; infinite: none has one. */
export function localFigures(
  ready: number,
  oldest: number,
): Pick<QueueStats, 'oldestAgeMs' | 'bytes' | 'rates' | 'unknown'> {
  const isKnown = ready === 0 || oldest !== Number.POSITIVE_INFINITY;
  return {
    oldestAgeMs: ready === 0 ? 0 : isKnown ? Math.max(0, Date.now() - oldest) : undefined,
    bytes: undefined,
    rates: undefined,
    unknown: isKnown ? UNKNOWN : WITHOUT_TIMESTAMPS,
  };
}

const WITHOUT_TIMESTAMPS: QueueStats['unknown'] = Object.freeze({
  ...UNKNOWN,
  oldestAgeMs: 'the messages that are first in line have no timestamp',
});

/** The error for a message that no queue takes. `isExchange`: whether the exchange exists. */
export function unroutable(
  { exchange, routingKey }: Destination,
  id: string,
  isExchange: boolean,
): QueueError {
  const why =
    exchange === ''
      ? `there is no queue ${quote(routingKey)}: declare it first`
      : isExchange
        ? `no queue is bound to the exchange ${quote(exchange)} for the routing key ${quote(routingKey)}`
        : `there is no exchange ${quote(exchange)}: declare it first`;
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

/** Throws `INVALID_OPTION` for what only RabbitMQ can do. */
export function refuseUnknown({ priority }: SubscribeOptions): void {
  if (priority === undefined) return;
  throw new QueueError(
    'INVALID_OPTION',
    'priority: a local broker serves all consumers of a queue alike; only RabbitMQ knows priorities of consumers',
  );
}

export function closedError(): QueueError {
  return new QueueError('CLOSED', 'the local broker was closed');
}

const NO_HEADERS: Message['headers'] = Object.freeze({});

/** A copy that the sender can't change any more. Throws `INVALID_MESSAGE`. */
export function takeIn(message: Message, to: Destination): Message {
  checkMessage(message);
  const copy = copyMessage(message, takeInHeaders(message));
  return to.exchange === '' ? copy : { ...copy, origin: to };
}

function takeInHeaders(message: Message): Message['headers'] {
  const { headers } = message;
  for (const _ in headers) return Object.freeze(copyHeaders(headers, faultOf(message)));
  return NO_HEADERS;
}

/** The headers in the form in which they arrive. Throws `INVALID_MESSAGE`. */
export function storableHeaders(message: Message): Message['headers'] {
  const { headers } = message;
  for (const name in headers) {
    if (typeof headers[name] !== 'string') return copyHeaders(headers, faultOf(message));
    checkHeaderName(name, faultOf(message));
  }
  return headers;
}

function faultOf(message: Message): HeaderFault {
  return (where, expected, got) => invalidMessage(message, where, expected, got);
}

/** Throws `INVALID_MESSAGE`. */
export function checkMessage(message: Message): void {
  const { priority, body, expiresAt, dueAt } = message;
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= MAX_PRIORITY)) {
    throw invalidMessage(message, 'priority', `an integer from 0 to ${MAX_PRIORITY}`, priority);
  }
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
    throw invalidMessage(message, 'body', 'a string or a Uint8Array', body);
  }
  if (expiresAt !== undefined && !Number.isSafeInteger(expiresAt)) {
    throw invalidMessage(message, 'expiresAt', 'milliseconds since 1970', expiresAt);
  }
  if (dueAt !== undefined && !Number.isSafeInteger(dueAt)) {
    throw invalidMessage(message, 'dueAt', 'milliseconds since 1970', dueAt);
  }
}

/** Throws `INVALID_MESSAGE` for a delayed message to an exchange, which routes by its present bindings. */
export function refuseDelay(to: Destination, message: Message): void {
  if (to.exchange === '' || message.dueAt === undefined) return;
  throw invalidMessage(message, 'dueAt', 'none, since only messages to a queue can wait', message.dueAt);
}

function invalidMessage(message: Message, property: string, expected: string, got: unknown): QueueError {
  return new QueueError(
    'INVALID_MESSAGE',
    `message ${message.id}: ${property}: expected ${expected}, got ${quote(got)}`,
  );
}

export function queueMissing(name: string): QueueError {
  return new QueueError(
    'QUEUE_MISSING',
    `there is no queue ${quote(name)} on the local broker: declare it first`,
  );
}
