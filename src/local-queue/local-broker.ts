/** What the brokers in memory and on disk have in common. */
import type { BrokerCounts, Destination, Message, SubscribeOptions } from '../broker.js';
import { quote } from '../common/options.js';
import { QueueError } from '../errors.js';

/** A local broker has no links that could be lost. */
export const NO_LINK_COUNTS: BrokerCounts = Object.freeze({
  resent: 0,
  disconnected: 0,
  blocked: 0,
  unsubscribed: 0,
  resubscribed: 0,
});

export function noExchange({ exchange }: Destination, message: Message): QueueError {
  return new QueueError(
    'UNROUTABLE',
    `message ${message.id} was not stored: there is no exchange ${quote(exchange)}; a local broker has the default exchange '' only`,
  );
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
