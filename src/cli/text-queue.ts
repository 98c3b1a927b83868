/** The queues of `send` and `work`: taken as they are, or made as the RabbitMQ tutorials make theirs. */
import { isUtf8 } from 'node:buffer';
import { defineQueue, type Queue } from '../queue.js';
import { unchecked } from './unchecked-schema.js';

/** A durable quorum queue without further arguments is what the tutorials declare. */
const DECLARE = 'if-missing';

/** Bodies as they are, labelled as text where they are text, or as `contentType` says. */
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

/** Bodies as the bytes that came, whatever they are labelled as. */
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
 * For handler modules: JSON is parsed where the message is labelled as JSON and bytes stay bytes where it is labelled
 * as such; all else is text, or bytes where it is no UTF-8.
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
