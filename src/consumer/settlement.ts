/** The settlement policy: whether an attempt's outcome leads to ack, drop, retry, postpone or dead-letter. */
import type { DeadLetterCode, Delivery, Failure, QueueSpec } from '../broker.js';
import { expiredFailure } from '../common/message/expiry.js';
import { postponesOf } from '../common/message/retry-headers.js';
import { errorText, MAX_DELAY_MS } from '../common/options.js';
import { isPostpone, isRejectMessage, isRetryLater } from '../errors.js';
import { stackOf } from './error-stack.js';
import type { Retries } from './retry-policy.js';

/** How an attempt at one message ended. */
export type Outcome = { readonly type: 'handled'; readonly value: unknown } | Unhandled;

export type Unhandled =
  /** The handler or the schema threw or timed out: worth another attempt. */
  | {
      readonly type: 'failed';
      readonly error?: unknown;
      readonly text: string;
      /** When to try again, if the handler knows that better than the policy. Milliseconds. */
      readonly delayMs?: number | undefined;
    }
  /** The handler can't handle it yet, and has not failed. */
  | { readonly type: 'postponed'; readonly error: unknown; readonly text: string; readonly delayMs: number }
  /** Another attempt can't succeed. */
  | {
      readonly type: 'hopeless';
      readonly code: DeadLetterCode;
      readonly error?: unknown;
      readonly text: string;
    };

/** The result of decoding and validating a message. */
export type Decoded<Out> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly outcome: Unhandled };

export type Settlement = { readonly verb: 'ack' } | UnhandledSettlement;

/** A settlement other than an acknowledgement. */
export type UnhandledSettlement =
  /** It has expired, and its queue drops expired messages. */
  | { readonly verb: 'drop' }
  | { readonly verb: 'retry'; readonly delayMs: number; readonly failure: Failure }
  | { readonly verb: 'postpone'; readonly delayMs: number }
  | { readonly verb: 'dead-letter'; readonly failure: Failure };

/** The inputs of a settlement other than the outcome. */
export interface SettlementPolicy {
  readonly retries: Retries;
  /** How often a message may be postponed. */
  readonly maxPostpones: number;
  readonly onExpired: QueueSpec['onExpired'];
  /** Whether failures carry the stacks of errors. */
  readonly errorStacks: boolean;
}

const NOTHING_RETURNED: Outcome = { type: 'handled', value: undefined };

export function handled(value: unknown): Outcome {
  return value === undefined ? NOTHING_RETURNED : { type: 'handled', value };
}

/** The outcome of a message whose handler or schema threw. */
export function thrown(error: unknown): Unhandled {
  const text = errorText(error);
  if (isRejectMessage(error)) return { type: 'hopeless', code: 'rejected', error, text };
  const isLater = isRetryLater(error);
  if (!isLater && !isPostpone(error)) return { type: 'failed', error, text };
  const delayMs = delayOf(error);
  // A delay that was overwritten with another value is ignored.
  if (isLater || delayMs === undefined) return { type: 'failed', error, text, delayMs };
  return { type: 'postponed', error, text, delayMs };
}

/** Another copy of the package, or a subclass, may have put any value there. */
function delayOf(error: { readonly delayMs: unknown }): number | undefined {
  try {
    const { delayMs } = error;
    return typeof delayMs === 'number' && delayMs >= 0 && delayMs <= MAX_DELAY_MS ? delayMs : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Nobody looks at a message that waits for less: it is retried without the stack of its error, which costs as much as the
 * error itself.
 */
const SHOWN_DELAY_MS = 1000;

const ACK: Settlement = { verb: 'ack' };
const DROP: UnhandledSettlement = { verb: 'drop' };

/** The outcome of a message that expired before its handler began. */
export function expired(expiresAt: number | undefined): Unhandled {
  const { code, error } = expiredFailure(expiresAt);
  return { type: 'hopeless', code, text: error };
}

/** The action for a message after an attempt. */
export function settlementFor(
  outcome: Outcome,
  delivery: Pick<Delivery, 'attempt' | 'message'>,
  policy: SettlementPolicy,
): Settlement {
  return outcome.type === 'handled' ? ACK : unhandledSettlementFor(outcome, delivery, policy);
}

/** As {@link settlementFor}, for a message that no handler has handled. */
export function unhandledSettlementFor(
  outcome: Unhandled,
  { attempt, message }: Pick<Delivery, 'attempt' | 'message'>,
  { retries, maxPostpones, onExpired, errorStacks }: SettlementPolicy,
): UnhandledSettlement {
  const dead = (code: DeadLetterCode, text: string): UnhandledSettlement => ({
    verb: 'dead-letter',
    failure: failure(code, text, outcome.error, errorStacks),
  });
  switch (outcome.type) {
    case 'hopeless':
      if (outcome.code === 'expired' && onExpired === 'drop') return DROP;
      return dead(outcome.code, outcome.text);
    case 'postponed': {
      if (postponesOf(message.headers) < maxPostpones) return { verb: 'postpone', delayMs: outcome.delayMs };
      const error = `postponed ${maxPostpones} times, and then: ${outcome.text}`;
      return dead('postponed', error);
    }
    case 'failed': {
      if (attempt >= retries.attempts) return dead('failed', outcome.text);
      const delayMs = outcome.delayMs ?? retries.delayAfter(attempt);
      return {
        verb: 'retry',
        delayMs,
        failure: retryFailure(delayMs, outcome.text, outcome.error, errorStacks),
      };
    }
  }
}

/** The failure of a message that becomes a dead letter now. */
export function failure(code: DeadLetterCode, error: string, thrown: unknown, errorStacks: boolean): Failure {
  return { code, error, stack: errorStacks ? stackOf(thrown) : undefined, at: Date.now() };
}

/** The failure of a message that is retried after the delay. */
export function retryFailure(delayMs: number, error: string, thrown: unknown, errorStacks: boolean): Failure {
  return failure('failed', error, thrown, errorStacks && delayMs >= SHOWN_DELAY_MS);
}
