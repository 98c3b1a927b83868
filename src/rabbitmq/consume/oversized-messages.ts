/** The most messages whose attempts are remembered: enough for what handlers can hold at once. */
const MAX_REMEMBERED = 10_000;

/**
 * The attempts at messages that the broker would not store again, because its limit was lowered since they were stored.
 * They are retried as they are, in their queue, and have no header that counts.
 */
export class OversizedMessages {
  readonly #attempts = new Map<string, number>();

  /** The number of the next attempt at a redelivered message; 0 if it is not one of them. */
  attemptOf(queue: string, id: string): number {
    return this.#attempts.size === 0 ? 0 : (this.#attempts.get(keyOf(queue, id)) ?? 0);
  }

  setAttempt(queue: string, id: string, attempt: number): void {
    const key = keyOf(queue, id);
    this.#attempts.delete(key);
    this.#attempts.set(key, attempt);
    if (this.#attempts.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#attempts.keys()) {
      this.#attempts.delete(oldest);
      return;
    }
  }

  forget(queue: string, id: string): void {
    this.#attempts.delete(keyOf(queue, id));
  }
}

function keyOf(queue: string, id: string): string {
  return `${queue}\n${id}`;
}
