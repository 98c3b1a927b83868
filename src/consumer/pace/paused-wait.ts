/** How often a paused consumer checks whether its broker is still there. */
const CHECK_EVERY_MS = 1000;

/**
 * Keeps the process alive while a consumer is paused, as its subscription did before. Also detects that the broker was
 * closed, which a consumer without a subscription would not notice.
 */
export class PausedWait {
  readonly #check: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(check: () => void) {
    this.#check = check;
  }

  begin(keepsAlive: boolean): void {
    this.end();
    this.#timer = setInterval(this.#check, CHECK_EVERY_MS);
    if (!keepsAlive) this.#timer.unref();
  }

  end(): void {
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
