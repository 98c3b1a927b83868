/** How long an unreferenced consumer works without a pause. */
const STRETCH_MS = 500;
/** Long enough for the settlements before it to be written. */
const GAP_MS = 20;

/**
 * Lets a process with an unreferenced consumer exit between two messages. Anything that a handler waits for keeps the
 * process alive, so a consumer whose next message is always there would keep a finished program running forever. So,
 * from time to time, no handler starts until the running ones have ended and a gap has passed in which nothing keeps
 * the process alive.
 *
 *   working ──STRETCH_MS──► waiting for running handlers ──► gap ──GAP_MS──► working
 *                                                             └── nothing else is alive: the process exits
 */
export class ExitGap {
  readonly #onOver: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** Undefined while no handler runs. */
  #workingSince: number | undefined;

  /** `onOver` is called when handlers may start again. */
  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  /** Begins the gap when it is due and no handler runs. True while no handler may start. `running`: how many run. */
  enterIfDue(running: number): boolean {
    if (this.#timer !== undefined) return true;
    this.#workingSince ??= performance.now();
    if (performance.now() - this.#workingSince < STRETCH_MS) return false;
    if (running === 0) this.#begin();
    return true;
  }

  /** Called when no message waits and no handler runs, which is a gap too, and when the consumer is referenced again. */
  idle(): void {
    this.#workingSince = undefined;
  }

  #begin(): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#workingSince = undefined;
      this.#onOver();
    }, GAP_MS);
    this.#timer.unref();
  }
}
