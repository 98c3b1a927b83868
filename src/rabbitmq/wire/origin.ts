/**
 * The exchange and key that a message was first published with. The broker forgets it when a message is moved, so the
 * toolkit's headers carry it.
 */
import type { Destination, MessageHeaders } from '../../broker.js';
import { firstDeath } from '../../common/message/broker-headers.js';
import type { HeaderTable } from './header-table.js';

/** Begins the names of the exchanges and queues in which delayed messages wait on their way to a queue. */
export const DELAY_PREFIX = 'millrace.delay.';

/** The queue of messages whose own queue was gone when they were due. */
export const LOST = `${DELAY_PREFIX}lost`;

const EXCHANGE = 'x-millrace-exchange';
const ROUTING_KEY = 'x-millrace-routing-key';

/** The headers about its origin of a message that is published to a queue. */
export function originHeaders(origin: Destination | undefined): Readonly<Record<string, string>> {
  return origin === undefined ? {} : { [EXCHANGE]: origin.exchange, [ROUTING_KEY]: origin.routingKey };
}

/**
 * Undefined: the default exchange. The broker's information takes precedence over headers, which any client may write;
 * the toolkit's headers take precedence over `x-death`, the broker's record of the moves of a message.
 */
export function originOf({
  fields,
  headers,
}: {
  readonly fields: Destination;
  readonly headers: HeaderTable;
}): Destination | undefined {
  const { exchange, routingKey } = fields;
  if (exchange !== '' && !exchange.startsWith(DELAY_PREFIX)) return { exchange, routingKey };
  const { values } = headers;
  const written = ownText(values, EXCHANGE);
  if (written !== '') return { exchange: written, routingKey: ownText(values, ROUTING_KEY) };
  return Object.hasOwn(values, 'x-death') ? firstDeathOrigin(values) : undefined;
}

function ownText(values: MessageHeaders, name: string): string {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  return typeof value === 'string' ? value : '';
}

function firstDeathOrigin(values: MessageHeaders): Destination | undefined {
  const { exchange, 'routing-keys': keys } = firstDeath(values) ?? {};
  const routingKey: unknown = Array.isArray(keys) ? keys[0] : undefined;
  if (typeof exchange !== 'string' || exchange === '' || exchange.startsWith(DELAY_PREFIX)) return undefined;
  return { exchange, routingKey: typeof routingKey === 'string' ? routingKey : '' };
}
