/** The queues of `send` and `work`: used as they are, and created if they are missing. */
import { isUtf8 } from 'node:buffer';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Broker, WaitOptions } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { codecs } from '../common/encoding/codec.js';
import { isQueueError, QueueError } from '../errors.js';
import { defineRoute, type Route } from '../exchange.js';
import {
  type DecodedValue,
  defineQueue,
  type EncodedValue,
  type Queue,
  type QueueOptions,
} from '../queue.js';
import { defineTopic, type EventValues, type Topic, type TopicOptions } from '../topics/topic.js';

/** Existing queues are used as they are. */
const DECLARE = 'if-missing';

/** The queue of the RabbitMQ tutorials, which declare a durable quorum queue without further arguments. */
const TUTORIAL_QUEUE = 'hello';

/**
 * Creates a missing queue as `defineQueue` does, so that a program can use it too, regardless of which comes first. If
 * that fails, the next step fails as well, with the reason.
 */
export async function makeIfMissing(broker: Broker, name: string, wait: WaitOptions = {}): Promise<void> {
  // `if-missing` creates it as the tutorials do.
  if (name === TUTORIAL_QUEUE) return;
  const backend = backendOf(broker);
  const { spec } = defineQueue(name, unchecked<unknown>());
  try {
    await backend.declare({ ...spec, declare: 'existing' }, wait);
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISSING')) await backend.declare(spec, wait).catch(() => {});
  }
}

/** A schema that accepts every value. */
export function unchecked<T>(): StandardSchemaV1<T> {
  return { '~standard': { version: 1, vendor: 'millrace', validate: (value) => ({ value: value as T }) } };
}

/** Sends bodies unchanged, with the given content type or one that is guessed from the body. */
export function sendingQueue(
  name: string,
  contentType?: string,
  check?: Decode,
): Pick<Queue<Uint8Array>, 'name' | 'spec' | 'encode'> {
  const { spec } = defineQueue(name, unchecked<Uint8Array>(), { codec: 'bytes', declare: DECLARE });
  return { name, spec, encode: encodeAs(contentType, check) };
}

/** The same for an exchange, which must exist. */
export function sendingRoute(
  exchange: string,
  routingKey: string,
  contentType?: string,
  check?: Decode,
): Route<Uint8Array> {
  const route = defineRoute(exchange, unchecked<Uint8Array>(), { routingKey, codec: 'bytes' });
  return { ...route, encode: encodeAs(contentType, check) };
}

/** The same for a topic, with one of its events. */
export function sendingTopic(
  name: string,
  event: string,
  contentType: string | undefined,
  options: TopicOptions,
  check?: Decode,
): Topic<Record<string, StandardSchemaV1<Uint8Array>>> {
  const topic = defineTopic(name, { [event]: unchecked<Uint8Array>() }, options);
  const { decode } = topic.events[event] as EventValues;
  return {
    ...topic,
    events: { [event]: { encode: encodeAs(contentType, check) as EventValues['encode'], decode } },
  };
}

/** How a receiver decodes a body. */
type Decode = Queue<never, unknown>['decode'];

/** `check`: bodies that it refuses are not sent. */
function encodeAs(
  contentType: string | undefined,
  check: Decode | undefined,
): (body: Uint8Array) => EncodedValue | Promise<EncodedValue> {
  const encode = (body: Uint8Array) => ({ contentType: contentType ?? contentTypeOf(body), body });
  if (check === undefined) return encode;
  return async (body) => {
    const encoded = encode(body);
    const decoded = await check({ id: '', headers: {}, ...encoded });
    if (!decoded.ok)
      throw new QueueError('INVALID_MESSAGE', `the message fails its schema: ${decoded.failure.error}`);
    return encoded;
  };
}

const OPENING = /^\s*[{[]/;

/**
 * Only objects and arrays count as JSON: they are most likely meant as values, while `42` and `"x"` may as well be
 * text.
 */
function contentTypeOf(body: Uint8Array): string {
  if (!isUtf8(body)) return 'application/octet-stream';
  const text = toBytes(body).toString('utf8');
  if (!OPENING.test(text)) return 'text/plain';
  try {
    codecs.json.decode(text);
    return 'application/json';
  } catch {
    return 'text/plain';
  }
}

/** Receives bodies as bytes, regardless of their content type. */
export function bytesQueue(
  name: string,
  options: Omit<QueueOptions, 'codec'> = { declare: DECLARE },
): Queue<Uint8Array> {
  return defineQueue(name, unchecked<Uint8Array>(), {
    ...options,
    codec: {
      contentType: 'application/octet-stream',
      ignoresContentType: true,
      encode: toBytes,
      decode: toBytes,
    },
  });
}

/** A body with the media type that its sender gave it, or `''`. */
export interface LabelledBody {
  readonly body: Uint8Array;
  readonly contentType: string;
}

/** Like {@link bytesQueue}, with the content types. */
export function labelledQueue(name: string): Queue<LabelledBody> {
  const { decode, encode, ...queue } = bytesQueue(name);
  return {
    ...queue,
    encode: ({ body }) => encode(body),
    decode: (message, maxBytes) => {
      const { contentType } = message;
      const label = (decoded: DecodedValue<Uint8Array>): DecodedValue<LabelledBody> =>
        decoded.ok ? { ok: true, value: { body: decoded.value, contentType } } : decoded;
      const decoded = decode(message, maxBytes);
      return decoded instanceof Promise ? decoded.then(label) : label(decoded);
    },
  };
}

/**
 * Receives values for handler modules. By its content type, a body is parsed as JSON or kept as bytes; any other body
 * is text, or bytes if it is not UTF-8.
 */
export function decodedQueue(name: string): Queue<unknown> {
  return defineQueue(name, unchecked<unknown>(), {
    declare: DECLARE,
    codec: {
      contentType: 'text/plain',
      encode: toBytes,
      decode: (body) => {
        const bytes = toBytes(body);
        return isUtf8(bytes) ? bytes.toString('utf8') : bytes;
      },
    },
  });
}

function toBytes(body: unknown): Buffer {
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  throw new TypeError(`a body is text or bytes, not ${typeof body}`);
}
