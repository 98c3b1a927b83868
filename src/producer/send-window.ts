import { Deferred } from '../common/waiting/waiting.js';

/**
 * The maximum number of messages in flight: the default limit of unconfirmed messages on RabbitMQ. If the backend's own
 * window is smaller, it makes them wait.
 */
const MAX_MESSAGES = 1000;

/**
 * How many messages are left when a full window is refilled. Woken by each confirm, the loop would spend more time on waking
 * than on sending; woken too late, it would keep the broker waiting.
 */
const REFILL_AT_MESSAGES = 800;

/** The maximum size of all bodies in flight; a larger message is sent alone. Bytes. */
const MAX_BYTES = 16 * 1024 * 1024;
const REFILL_AT_BYTES = 12 * 1024 * 1024;

/** How many values an asynchronous schema validates at once, since their size is known only afterwards. */
const MAX_VALIDATING = 64;

/** What a bulk send has in flight, and the wait of its loop for room. */
export class SendWindow {
  #messages = 0;
  #bytes = 0;
  #validating = 0;
  /** The current wait, and the function that ends it. */
  #wait: { readonly isOver: () => boolean; readonly over: Deferred } | undefined;

  /** How many values were taken and are neither stored nor failed. */
  get messages(): number {
    return this.#messages;
  }

  get isEmpty(): boolean {
    return this.#messages === 0;
  }

  get isFull(): boolean {
    return this.#messages >= MAX_MESSAGES || this.#bytes >= MAX_BYTES || this.#validating >= MAX_VALIDATING;
  }

  /** Whether there is enough room to refill a window that was full. */
  get hasRoom(): boolean {
    return (
      this.#messages <= REFILL_AT_MESSAGES &&
      this.#bytes <= REFILL_AT_BYTES &&
      this.#validating < MAX_VALIDATING
    );
  }

  /** A value was taken. Its size is added by {@link fill}. */
  enter(): void {
    this.#messages++;
  }

  fill(bytes: number): void {
    this.#bytes += bytes;
  }

  /** A message was stored or has failed. */
  leave(bytes: number): void {
    this.#messages--;
    this.#bytes -= bytes;
  }

  beginValidation(): void {
    this.#validating++;
  }

  endValidation(): void {
    this.#validating--;
  }

  /** Resolves once the condition holds at a {@link wake}. There is one wait at a time. */
  async until(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const over = new Deferred();
      this.#wait = { isOver, over };
      await over.promise;
    }
  }

  /** Called after each change that may end the wait. */
  wake(): void {
    const wait = this.#wait;
    if (wait === undefined || !wait.isOver()) return;
    this.#wait = undefined;
    wait.over.resolve();
  }
}
