/** The minimum time between two sweeps, each of which may go through a long queue. */
const REST_MS = 250;

/** The system clock may be changed, so it is read again from time to time. */
const LONGEST_WAIT_MS = 60_000;

/** One timer for all expiring messages of a queue. It does not keep the process alive. */
export class ExpiryTimer {
  readonly #onDue: () => void;
  #next = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined = undefined;
  /** On the clock of `performance.now()`. */
  #restedAt = 0;

  constructor(onDue: () => void) {
    this.#onDue = onDue;
  }

  /** Whether any message may have expired. */
  get isDue(): boolean {
    return this.#next !== Number.POSITIVE_INFINITY && this.#next <= Date.now();
  }

  /** Called when a message with this expiry has arrived. */
  add(expiresAt: number): void {
    if (expiresAt >= this.#next) return;
    this.#next = expiresAt;
    this.#setTimer();
  }

  /** Called after a sweep, with the time at which the next message expires. */
  swept(next: number): void {
    this.#restedAt = performance.now() + REST_MS;
    this.#next = next;
    this.#setTimer();
  }

  stop(): void {
    this.#next = Number.POSITIVE_INFINITY;
    clearTimeout(this.#timer);
  }

  #setTimer(): void {
    clearTimeout(this.#timer);
    if (this.#next === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.max(this.#next - Date.now(), this.#restedAt - performance.now());
    this.#timer = setTimeout(
      () => {
        if (this.isDue) this.#onDue();
        else this.#setTimer();
      },
      Math.min(waitMs, LONGEST_WAIT_MS),
    ).unref();
  }
}
