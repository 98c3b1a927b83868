/** A message as a `receive` loop gets it. */
import type { Delivery } from '../broker.js';
import { errorText, integerOption, MAX_DELAY_MS } from '../common/options.js';
import type { MessageInfo } from './consumer.js';
import { failure, retryFailure } from './settlement.js';

/** A message that the loop has to settle with one of `ack`, `retry`, `postpone`, `deadLetter` and `release`. */
export interface Received<Out> extends MessageInfo {
  /** The decoded and validated value. */
  readonly value: Out;
  /** Done: the message is removed. */
  ack(): void;
  /**
   * Later: the message is redelivered after `delayMs` (default 0) with `attempt` incremented; `error` says why. RabbitMQ
   * rounds the delay up to one of about forty (see docs/retries.md).
   */
  retry(delayMs?: number, error?: unknown): Promise<void>;
  /**
   * Not yet: as `retry`, but not as a failure: `attempt` is not raised. The header `x-millrace-postpones` counts how often,
   * for a loop that wants a limit; there is none.
   */
  postpone(delayMs: number): Promise<void>;
  /** Never: the message moves to the dead-letter queue; `error` says why. */
  deadLetter(error: unknown): Promise<void>;
  /** Not now: the message returns to its queue at no cost. */
  release(): void;
}

/** `errorStacks`: whether failures carry the stacks of errors. */
export function toReceived<Out>(
  delivery: Delivery,
  value: Out,
  queue: string,
  errorStacks: boolean,
): Received<Out> {
  const { message, attempt, redelivered } = delivery;
  return {
    value,
    queue,
    exchange: message.origin?.exchange ?? '',
    routingKey: message.origin?.routingKey ?? queue,
    id: message.id,
    attempt,
    redelivered,
    headers: message.headers,
    timestamp: message.timestamp,
    type: message.type,
    appId: message.appId,
    userId: message.userId,
    expiresAt: message.expiresAt,
    correlationId: message.correlationId,
    replyTo: message.replyTo,
    ack: () => delivery.ack(),
    retry: async (delayMs, error = 'no reason given') => {
      const checked = integerOption('delayMs', delayMs, { min: 0, max: MAX_DELAY_MS, default: 0 });
      await delivery.retry(checked, retryFailure(checked, errorText(error), error, errorStacks));
    },
    postpone: async (delayMs) => {
      await delivery.postpone(
        integerOption('delayMs', delayMs ?? Number.NaN, { min: 0, max: MAX_DELAY_MS, default: 0 }),
      );
    },
    deadLetter: (error) => delivery.deadLetter(failure('rejected', errorText(error), error, errorStacks)),
    release: () => delivery.release(),
  };
}
