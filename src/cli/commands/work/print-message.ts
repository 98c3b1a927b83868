import { isUtf8 } from 'node:buffer';
import { once } from 'node:events';
import type { Handler, HandlerContext } from '../../../consumer/handler-run.js';
import type { Output } from '../../output.js';
import { showBody } from '../../show-text.js';

/** The handler of a worker that was given none: it prints each message, and is done when that is written. */
export function printMessage(output: Output): Handler<Uint8Array> {
  return async (body, context) => {
    const line = output.json ? asJson(body, context) : ` [x] Received '${showBody(body)}'`;
    // Nobody has seen it: it is not done, and goes back to the queue when the worker stops, which is now.
    if (!(await output.data(line))) await once(context.signal, 'abort');
  };
}

function asJson(body: Uint8Array, context: HandlerContext): string {
  const { id, queue, attempt, redelivered, headers, timestamp, correlationId, replyTo } = context;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const content = isUtf8(bytes) ? { body: bytes.toString('utf8') } : { bodyBase64: bytes.toString('base64') };
  return JSON.stringify({
    id,
    queue,
    attempt,
    redelivered,
    headers,
    timestamp,
    correlationId,
    replyTo,
    ...content,
  });
}
