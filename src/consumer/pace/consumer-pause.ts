/** How often a paused consumer checks whether its broker is still there. */
const CHECK_EVERY_MS = 1000;

/**
 * The pause of a consumer: who wants it, and the wait for its end. While it lasts, the process is kept alive, as by the
 * subscription before, and a timer detects that the broker was closed, which a consumer without a subscription would not
 * notice.
 */
export class ConsumerPause {
  /** Each with the length of its pause in milliseconds, if that is known. */
  readonly #wantedBy = new Map<'call' | 'breaker', number | undefined>();
  readonly #check: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** `check`: called regularly during the pause. */
  constructor(check: () => void) {
    this.#check = check;
  }

  get isWanted(): boolean {
    return this.#wantedBy.size > 0;
  }

  /** The length of the breaker's pause; undefined if the program has paused the consumer, too. */
  get forMs(): number | undefined {
    return this.#wantedBy.has('call') ? undefined : this.#wantedBy.get('breaker');
  }

  want(by: 'call' | 'breaker', forMs: number | undefined): void {
    this.#wantedBy.set(by, forMs);
  }

  /** The breaker wants it no longer; the program may. */
  endBreaker(): void {
    this.#wantedBy.delete('breaker');
  }

  /** Nobody wants it any longer. */
  lift(): void {
    this.#wantedBy.clear();
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
