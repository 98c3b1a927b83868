/** The settlement policy: how an attempt's outcome becomes one of done, later, never. Pure. */
import type { DeadLetterCode, Failure } from '../broker.js';
import { errorText } from '../common/options.js';
import { isRejectMessage } from '../errors.js';

/** How an attempt at one message ended. */
export type Outcome = { readonly type: 'handled'; readonly value: unknown } | Unhandled;

export type Unhandled =
  /** The handler or the schema threw, or took too long: worth another try. */
  | { readonly type: 'failed'; readonly error?: unknown; readonly text: string }
  /** No further try can help. */
  | {
      readonly type: 'hopeless';
      readonly code: DeadLetterCode;
      readonly error?: unknown;
      readonly text: string;
    };

export type Settlement =
  | { readonly verb: 'ack' }
  | { readonly verb: 'retry'; readonly delayMs: number; readonly failure: Failure }
  | { readonly verb: 'dead-letter'; readonly failure: Failure };

const NOTHING_RETURNED: Outcome = { type: 'handled', value: undefined };

export function handled(value: unknown): Outcome {
  return value === undefined ? NOTHING_RETURNED : { type: 'handled', value };
}

/** What it means for the message that its handler or its schema threw. */
export function thrown(error: unknown): Unhandled {
  const text = errorText(error);
  return isRejectMessage(error)
    ? { type: 'hopeless', code: 'rejected', error, text }
    : { type: 'failed', error, text };
}

const ACK: Settlement = { verb: 'ack' };

/** What to do with a message after its `attempt`th attempt (from 1) under the delays of the retry policy. */
export function settlementFor(outcome: Outcome, attempt: number, delaysMs: readonly number[]): Settlement {
  if (outcome.type === 'handled') return ACK;
  if (outcome.type === 'hopeless') {
    return { verb: 'dead-letter', failure: { code: outcome.code, error: outcome.text } };
  }
  const failure: Failure = { code: 'failed', error: outcome.text };
  const delayMs = delaysMs[attempt - 1];
  return delayMs === undefined ? { verb: 'dead-letter', failure } : { verb: 'retry', delayMs, failure };
}
