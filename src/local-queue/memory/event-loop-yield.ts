// From the module and not from globalThis, where tests that fake the clock would stop the queues, too.
import { setImmediate } from 'node:timers';

/**
 * Tasks that only ever wait for each other's promises never let the event loop turn: timers, signals and sockets
 * starve. A pace lets so many steps pass in a row and then has one turn waited for.
 */
export class Pace {
  readonly #stepsPerTurn: number;
  #steps = 0;
  #turn: Promise<void> | undefined = undefined;

  constructor(stepsPerTurn: number) {
    this.#stepsPerTurn = stepsPerTurn;
  }

  /** Counts a step. Undefined: go on. Otherwise go on when the promise, which all share, resolves. */
  step(): Promise<void> | undefined {
    if (this.#turn === undefined) {
      this.#steps++;
      if (this.#steps <= this.#stepsPerTurn) return undefined;
      this.#turn = new Promise((resolve) => {
        setImmediate(() => {
          this.#steps = 0;
          this.#turn = undefined;
          resolve();
        });
      });
    }
    return this.#turn;
  }
}
