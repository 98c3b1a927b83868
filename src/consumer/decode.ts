import type { Message } from '../broker.js';
import { isTooLarge } from '../common/options.js';
import type { DecodedValue, Queue } from '../queue.js';
import { thrown, type Unhandled } from './settlement.js';

/** What decoding and validating a message came to. */
export type Decoded<Out> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly outcome: Unhandled };

/**
 * The value of a received message, or why there is none: the body is too large or undecodable, the value does not fit
 * the schema, or the schema itself threw, which may pass. Never throws or rejects.
 */
export function decode<Out>(
  message: Message,
  queue: Pick<Queue<never, Out>, 'decode'>,
  maxMessageBytes: number,
): Decoded<Out> | Promise<Decoded<Out>> {
  if (isTooLarge(message.body, maxMessageBytes)) {
    const text = `the body has ${Buffer.byteLength(message.body)} bytes, the limit is ${maxMessageBytes}`;
    return { ok: false, outcome: { type: 'hopeless', code: 'too-large', text } };
  }
  try {
    const decoding = queue.decode(message);
    return decoding instanceof Promise ? decoding.then(toDecoded<Out>).catch(failed) : toDecoded(decoding);
  } catch (error) {
    return failed(error);
  }
}

function toDecoded<Out>(decoded: DecodedValue<Out>): Decoded<Out> {
  if (decoded.ok) return decoded;
  const { code, error: text } = decoded.failure;
  const { error } = decoded;
  return {
    ok: false,
    outcome: code === 'failed' ? { type: code, error, text } : { type: 'hopeless', code, text },
  };
}

function failed(error: unknown): { readonly ok: false; readonly outcome: Unhandled } {
  return { ok: false, outcome: thrown(error) };
}
