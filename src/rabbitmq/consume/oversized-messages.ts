import { createHash } from 'node:crypto';
import type { ReceivedMessage } from '../wire/amqp-message.js';

/** The most messages whose attempts are remembered: enough for what handlers can hold at once. */
const MAX_REMEMBERED = 10_000;

/**
 * The attempts at messages that the broker would not store again, because its limit was lowered since they were stored.
 * They are retried as they are, in their queue, and have no header that counts.
 */
export class OversizedMessages {
  readonly #attempts = new Map<string, number>();

  /** The number of the next attempt at a redelivered message; 0 if it is not one of them. */
  attemptOf(queue: string, message: ReceivedMessage): number {
    return this.#attempts.size === 0 ? 0 : (this.#attempts.get(keyOf(queue, message)) ?? 0);
  }

  setAttempt(queue: string, message: ReceivedMessage, attempt: number): void {
    const key = keyOf(queue, message);
    this.#attempts.delete(key);
    this.#attempts.set(key, attempt);
    if (this.#attempts.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#attempts.keys()) {
      this.#attempts.delete(oldest);
      return;
    }
  }

  /** Called when the message has left its queue: the next one may have the same id. */
  forget(queue: string, message: ReceivedMessage): void {
    if (this.#attempts.size > 0) this.#attempts.delete(keyOf(queue, message));
  }
}

/** Messages of other clients may have no id, or all the same one. */
function keyOf(queue: string, { properties: { messageId }, content }: ReceivedMessage): string {
  const id = messageId || createHash('sha1').update(content).digest('base64');
  return `${queue}\n${id}\n${content.length}`;
}
