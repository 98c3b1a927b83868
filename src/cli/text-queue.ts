/** The queues of `send` and `work`: used as they are, or declared as the RabbitMQ tutorials declare theirs. */
import { isUtf8 } from 'node:buffer';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { defineQueue, type Queue } from '../queue.js';

/** A durable quorum queue without further arguments is what the tutorials declare. */
const DECLARE = 'if-missing';

/** A schema that accepts every value. */
export function unchecked<T>(): StandardSchemaV1<T> {
  return { '~standard': { version: 1, vendor: 'millrace', validate: (value) => ({ value: value as T }) } };
}

/** Sends bodies as they are, labeled with `contentType`, or as text if they are UTF-8. */
export function sendingQueue(
  name: string,
  contentType?: string,
): Pick<Queue<Uint8Array>, 'name' | 'spec' | 'encode'> {
  const { spec } = defineQueue(name, unchecked<Uint8Array>(), { codec: 'bytes', declare: DECLARE });
  return {
    name,
    spec,
    encode: (body) => ({
      contentType: contentType ?? (isUtf8(body) ? 'text/plain' : 'application/octet-stream'),
      body,
    }),
  };
}

/** Receives bodies as bytes, whatever their content type. */
export function bytesQueue(name: string): Queue<Uint8Array> {
  return defineQueue(name, unchecked<Uint8Array>(), {
    declare: DECLARE,
    codec: {
      contentType: 'application/octet-stream',
      ignoresContentType: true,
      encode: toBytes,
      decode: toBytes,
    },
  });
}

/**
 * Receives values for handler modules: a body labeled as JSON is parsed, one labeled as bytes stays bytes; any other is
 * text, or bytes if it is not UTF-8.
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
