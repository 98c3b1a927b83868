import type { Message } from '../broker.js';
import { isTooLarge } from '../common/message-size.js';
import type { DecodedValue, Queue } from '../queue.js';

/** The value of a received message, or why it can't be had: too large, undecodable, not fitting the schema. */
export function decode<Out>(
  message: Message,
  queue: Pick<Queue<never, Out>, 'decode'>,
  maxMessageBytes: number,
): DecodedValue<Out> | Promise<DecodedValue<Out>> {
  if (!isTooLarge(message.body, maxMessageBytes)) return queue.decode(message);
  const bytes = Buffer.byteLength(message.body);
  const error = `the body has ${bytes} bytes, the limit is ${maxMessageBytes}`;
  return { ok: false, failure: { code: 'too-large', error } };
}
