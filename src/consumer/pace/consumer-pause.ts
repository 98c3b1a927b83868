/** How often a paused consumer checks whether its broker is still there. */
const CHECK_EVERY_MS = 1000;

type PauseCause = 'call' | 'breaker';

/**
 * The pause of a consumer: its causes, and the wait for its end. During the wait the process is kept alive, as the
 * subscription did before, and a timer detects that the broker was closed, which a consumer without a subscription would
 * not notice.
 */
export class ConsumerPause {
  /** Each with the length of its pause in milliseconds, if that is known. */
  readonly #causes = new Map<PauseCause, number | undefined>();
  readonly #check: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** `check`: called regularly during the pause. */
  constructor(check: () => void) {
    this.#check = check;
  }

  get hasCause(): boolean {
    return this.#causes.size > 0;
  }

  /** The length of the breaker's pause; undefined if the program has paused the consumer, too. */
  get forMs(): number | undefined {
    return this.#causes.has('call') ? undefined : this.#causes.get('breaker');
  }

  add(cause: PauseCause, forMs: number | undefined): void {
    this.#causes.set(cause, forMs);
  }

  remove(cause: PauseCause): void {
    this.#causes.delete(cause);
  }

  /** Removes all causes. */
  clear(): void {
    this.#causes.clear();
  }

  beginWait(keepsAlive: boolean): void {
    this.endWait();
    this.#timer = setInterval(this.#check, CHECK_EVERY_MS);
    if (!keepsAlive) this.#timer.unref();
  }

  endWait(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  unref(): void {
    this.#timer?.unref();
  }

  ref(): void {
    this.#timer?.ref();
  }
}
