import { MAX_DELAY_MS } from '../common/options.js';
import { Deferred } from '../common/waiting/waiting.js';

/**
 * How long a stopping consumer waits for its running handlers: until they have ended, or until a deadline, which can only
 * be brought forward.
 *
 *   open ──wait──► waiting ──handlers ended, or deadline──► over
 *     └───────────────deadline, or nothing to wait for──────►
 */
export class Draining {
  #deadlineAt = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;
  #waiting: Deferred | undefined;

  /** `Infinity` changes nothing. */
  bringForward(deadlineMs: number): void {
    const at = performance.now() + deadlineMs;
    if (at >= this.#deadlineAt || this.#isOver) return;
    this.#deadlineAt = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(), deadlineMs);
  }

  /** Resolves at the end. */
  async wait(): Promise<void> {
    if (this.#isOver) return;
    // The cancelled subscription no longer keeps the process alive, but the caller of `stop` waits for this.
    const keepAlive = setInterval(() => {}, MAX_DELAY_MS);
    this.#waiting = new Deferred();
    await this.#waiting.promise;
    clearInterval(keepAlive);
  }

  /** The last handler has ended. */
  onIdle(): void {
    if (this.#waiting !== undefined) this.end();
  }

  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#waiting?.resolve();
  }
}
