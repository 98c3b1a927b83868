/** How a received message is published again: which of its headers are carried on, and which are dropped. */
import type { MessageHeaders } from '../../broker.js';
import { BROKER_HEADERS, DEATH_HEADERS } from '../../common/message/broker-headers.js';
import { RESERVED_HEADER_PREFIX } from '../../common/message/retry-headers.js';
import { PERSISTENT, type ReceivedMessage, type WireMessage } from './amqp-message.js';
import { carry } from './carried-headers.js';
import type { HeaderField } from './header-table.js';
import { originHeaders, originOf } from './origin.js';

/**
 * A received message as it is published to another queue: everything its sender set, byte for byte, and the changed
 * headers. It leaves out the expiry, unless `expiresAt` says when the new queue may give it up, the user id, which the
 * broker accepts from that user only, and the headers by which the broker routes to several queues.
 */
export function republished(
  queue: string,
  received: ReceivedMessage,
  id: string,
  change: (headers: MessageHeaders) => MessageHeaders,
  expiresAt?: number,
): WireMessage {
  const { properties, content } = received;
  const senders = Object.entries(received.headers.values).filter(([name]) => !BROKER_HEADERS.test(name));
  const headers = { ...Object.fromEntries(senders), ...originHeaders(originOf(received)) };
  const { carried, added, left } = carry(received.headers, change(headers));
  const message: WireMessage = {
    exchange: '',
    routingKey: queue,
    id,
    content,
    carried,
    options: {
      mandatory: true,
      persistent: properties.deliveryMode === PERSISTENT,
      messageId: id,
      headers: added,
      contentType: properties.contentType,
      contentEncoding: properties.contentEncoding,
      priority: properties.priority,
      correlationId: properties.correlationId,
      replyTo: properties.replyTo,
      timestamp: properties.timestamp,
      type: properties.type,
      appId: properties.appId,
      expiresAt,
    },
  };
  return without(message, [...left, ...(received.lost ?? [])]);
}

/** The broker's own record of how a message came into a dead-letter queue. */
export function deathHeaders({ headers }: ReceivedMessage): MessageHeaders {
  return Object.fromEntries(Object.entries(headers.values).filter(([name]) => DEATH_HEADERS.test(name)));
}

/** The same message without some headers of the toolkit. */
export function stripped(message: WireMessage, names: readonly string[]): WireMessage {
  const kept = Object.entries(message.options.headers).filter(([name]) => !names.includes(name));
  const carried = message.carried?.filter(({ name }) => !names.includes(name));
  return { ...message, carried, options: { ...message.options, headers: Object.fromEntries(kept) } };
}

/** On a moved message: the names of the sender's headers that did not fit. */
const DROPPED_HEADERS = 'x-millrace-dropped-headers';

const MAX_DROPPED_NAMES_LENGTH = 1000;

/** How much is kept of each of the toolkit's own headers when there is hardly any room. */
const SHORTEST_TEXT_LENGTH = 100;

/**
 * The same message with at most `keptBytes` of its sender's headers; the largest are dropped first, and 0 drops all. A
 * message may arrive with as many headers as a frame carries. There is no room then for the history of a retry or a dead
 * letter, without which the message could not be moved.
 */
export function thinned(message: WireMessage, keptBytes: number): WireMessage {
  const carried: HeaderField[] = [];
  const dropped: string[] = [];
  let bytes = 0;
  for (const field of [...(message.carried ?? [])].sort((a, b) => a.bytes.length - b.bytes.length)) {
    bytes += field.bytes.length;
    if (bytes <= keptBytes || field.name.startsWith(RESERVED_HEADER_PREFIX)) carried.push(field);
    else dropped.push(field.name);
  }
  const thin = without({ ...message, carried }, dropped);
  return keptBytes > 0
    ? thin
    : { ...thin, options: { ...thin.options, headers: shortened(thin.options.headers) } };
}

function shortened(headers: Readonly<Record<string, string>>): Record<string, string> {
  const short = ([name, value]: [string, string]) => [
    name,
    value.slice(0, SHORTEST_TEXT_LENGTH).toWellFormed(),
  ];
  return Object.fromEntries(Object.entries(headers).map(short));
}

/** The same message, with a header that names the dropped ones. */
function without(message: WireMessage, dropped: readonly string[]): WireMessage {
  if (dropped.length === 0) return message;
  const before = message.options.headers[DROPPED_HEADERS];
  const names = [...(before === undefined ? [] : [before]), ...dropped].join(', ');
  const headers = {
    ...message.options.headers,
    [DROPPED_HEADERS]: names.slice(0, MAX_DROPPED_NAMES_LENGTH).toWellFormed(),
  };
  return { ...message, options: { ...message.options, headers } };
}
