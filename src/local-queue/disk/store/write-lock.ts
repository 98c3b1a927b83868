import type { ExitGuard } from './sqlite.js';
import { isBusy } from './storage-error.js';

/** Between two attempts to get the lock. Milliseconds, at random. */
const RETRY_MS = { least: 0.05, most: 0.8 };
/**
 * How long a process leaves the lock to others after a transaction, while there is contention. Milliseconds, at random.
 */
const PAUSE_MS = { least: 0.1, most: 1 };
/** After this many transactions without contention it no longer pauses. */
const REMEMBERED = 20;
/** If most transactions wait for longer than this, a process tries less often. Milliseconds. */
const SHORT_WAIT_MS = 4;
/** At most by this factor, and by this much after each transaction. */
const MAX_STRETCH = 4;
const STEP = 1.1;

/**
 * How the processes of a folder share SQLite's write lock. SQLite's own wait polls in growing steps, so a process that
 * has waited for long polls rarely, and newcomers overtake it: with four busy processes it took up to two seconds. So
 * all processes try at the same rate, at random intervals, and one that had the lock under contention pauses before it
 * takes it again.
 *
 * Each question costs some 20 µs of a processor that the holder may need, and ten busy processes ask each other tens of
 * thousands of times a second. So they ask less often where waits are long, by the square root of the median wait: in
 * proportion to the wait, or to a mean that a single long one raises, a process that is behind would stay behind.
 */
export class WriteLock {
  readonly #exitGuard: ExitGuard;
  readonly #onWait: () => void;
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));
  /** For how many transactions contention is remembered. */
  #met = 0;
  /** By `performance.now()`. */
  #freeAt = 0;
  /** The factor on `RETRY_MS` until the next attempt: the root of the median wait in `SHORT_WAIT_MS`. */
  #stretch = 1;

  /** `onWait` is called between two attempts to get the lock for a transaction. */
  constructor(exitGuard: ExitGuard, onWait: () => void = () => {}) {
    this.#exitGuard = exitGuard;
    this.#onWait = onWait;
  }

  /** Takes the lock by `begin`, as soon as it is free. */
  take(begin: () => void): void {
    if (this.#met > 0) this.#sleep(this.#freeAt - performance.now());
    const since = performance.now();
    if (this.retry(begin, this.#onWait) > 0) this.#met = REMEMBERED;
    else if (this.#met > 0) this.#met--;
    const isLong = performance.now() - since > SHORT_WAIT_MS * this.#stretch ** 2;
    this.#stretch = Math.min(Math.max(1, isLong ? this.#stretch * STEP : this.#stretch / STEP), MAX_STRETCH);
  }

  /** The transaction has ended. */
  released(): void {
    if (this.#met > 0) this.#freeAt = performance.now() + between(PAUSE_MS);
  }

  /** Repeats something that fails while others have the lock, until it succeeds. Returns how often it failed. */
  retry(work: () => void, onWait?: () => void): number {
    for (let failures = 0; ; failures++) {
      try {
        this.alone(work);
        return failures;
      } catch (error) {
        if (!isBusy(error)) throw error;
      }
      this.#sleep(between(RETRY_MS) * this.#stretch);
      onWait?.();
    }
  }

  /** Any call of SQLite. */
  alone<T>(work: () => T): T {
    return this.#exitGuard.run(work);
  }

  #sleep(ms: number): void {
    if (ms > 0) Atomics.wait(this.#sleeper, 0, 0, ms);
  }
}

function between({ least, most }: { readonly least: number; readonly most: number }): number {
  return least + Math.random() * (most - least);
}
