/**
 * One timer for many deadlines: most of what has one is over long before it, so none gets a timer of its own.
 * It is set to the earliest deadline; then all are looked through, and it is set to the earliest that is left.
 */
export class Deadlines {
  /** Ends what is over, and returns the earliest deadline that is left. */
  readonly #expire: (now: number) => number;
  #timer: NodeJS.Timeout | undefined;
  #at = Number.POSITIVE_INFINITY;

  constructor(expire: (now: number) => number) {
    this.#expire = expire;
  }

  /** On the clock of `performance.now()`; `Infinity`: none. */
  add(deadline: number): void {
    if (deadline < this.#at) this.#set(deadline);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#at = Number.POSITIVE_INFINITY;
  }

  #set(at: number): void {
    clearTimeout(this.#timer);
    this.#at = at;
    if (at === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.max(0, Math.ceil(at - performance.now()));
    this.#timer = setTimeout(() => {
      this.#at = Number.POSITIVE_INFINITY;
      this.#set(this.#expire(performance.now()));
    }, waitMs);
    // It outlives those who had a deadline; what keeps the process alive is for its owner to say.
    this.#timer.unref();
  }
}
