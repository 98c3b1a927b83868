/** The attributes of a message by OpenTelemetry's messaging conventions (1.44). */
import type { Attributes, TextMapGetter } from '@opentelemetry/api';
import type { MessageHeaders } from '../broker.js';
import { isQueueError } from '../errors.js';

/** The properties that all traces of the package share. */
export interface Traced {
  readonly queue: string;
  readonly url: string;
  readonly exchange: string;
  readonly routingKey: string;
}

/** For metrics: few values each. */
export function commonAttributes({ url, queue }: Pick<Traced, 'url' | 'queue'>): Attributes {
  const system = url.startsWith('amqp') ? 'rabbitmq' : 'millrace';
  const attributes = { 'messaging.system': system, 'messaging.destination.name': queue };
  return system === 'millrace' ? attributes : { ...attributes, ...serverOf(url) };
}

/**
 * The last address that was parsed: most processes have one broker, and this is called several times for each message.
 */
let parsed: { readonly url: string; readonly attributes: Attributes } | undefined;

function serverOf(url: string): Attributes {
  if (parsed?.url !== url) {
    const { hostname, port, protocol } = new URL(url);
    const usual = protocol === 'amqps:' ? 5671 : 5672;
    parsed = { url, attributes: { 'server.address': hostname, 'server.port': Number(port) || usual } };
  }
  return parsed.attributes;
}

/** For spans. `queue`: where a message was taken from, unless it is being sent. */
export function messageAttributes(
  traced: Traced & { readonly id: string; readonly correlationId?: string | undefined },
  isConsumed: boolean,
): Attributes {
  const { exchange, routingKey, queue, id, correlationId } = traced;
  const parts = [exchange, routingKey, isConsumed ? queue : ''].filter((part) => part !== '');
  return {
    ...commonAttributes(traced),
    'messaging.destination.name': [...new Set(parts)].join(':'),
    'messaging.message.id': id,
    ...(correlationId !== undefined && { 'messaging.message.conversation_id': correlationId }),
    ...(traced.url.startsWith('amqp') && { 'messaging.rabbitmq.destination.routing_key': routingKey }),
  };
}

/** `error.type`: a code of ours, or the name of an error's class. */
export function errorType(error: unknown): string {
  if (isQueueError(error)) return error.code;
  return error instanceof Error && /^\w{1,64}$/.test(error.name) ? error.name : '_OTHER';
}

/** Only text: foreign headers may contain anything. */
export const headerGetter: TextMapGetter<MessageHeaders> = {
  keys: (headers) => Object.keys(headers),
  get: (headers, name) => {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    return typeof value === 'string' ? value : undefined;
  },
};
