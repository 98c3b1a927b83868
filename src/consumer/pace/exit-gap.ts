/** How long an unreferenced consumer works without a pause. */
const STRETCH_MS = 500;
/** Long enough for the settlements before it to be written. */
const GAP_MS = 20;

/**
 * Lets the process of an unreferenced consumer end between two of its messages. What a handler waits for keeps the
 * process alive, and Node can't know whose handler it is: a consumer that always finds its next message waiting would
 * keep a finished program alive forever. So from time to time no handler begins until the running ones have ended and
 * a moment has passed that keeps nothing alive.
 *
 *   working ──STRETCH_MS──► letting the running ones end ──► gap ──GAP_MS──► working
 *                                                             └── nothing else is alive: the process ends
 */
export class ExitGap {
  readonly #onOver: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** Undefined: no handler runs. */
  #workingSince: number | undefined;

  /** `onOver` is called when handlers may begin again. */
  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  /** Whether no handler may begin now, while `running` others run. */
  isDue(running: number): boolean {
    if (this.#timer !== undefined) return true;
    this.#workingSince ??= performance.now();
    if (performance.now() - this.#workingSince < STRETCH_MS) return false;
    if (running === 0) this.#begin();
    return true;
  }

  /** No message waits and no handler runs: that is a gap, too. Also called when the consumer is referenced again. */
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
