/** Shared by the brokers in memory and on disk. */
import type {
  BrokerCounts,
  Destination,
  Message,
  PublishOptions,
  QueueStats,
  SubscribeOptions,
} from '../broker.js';
import { checkMessage, copiedHeaders, copyMessage } from '../common/message.js';
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

/** A copy that the sender can't change any more. Throws `INVALID_MESSAGE`. */
export function takeIn(message: Message, to: Destination): Message {
  checkMessage(message);
  const copy = copyMessage(message, copiedHeaders(message));
  return to.exchange === '' ? copy : { ...copy, origin: to };
}

export function queueMissing(name: string): QueueError {
  return new QueueError(
    'QUEUE_MISSING',
    `there is no queue ${quote(name)} on the local broker: declare it first`,
  );
}
