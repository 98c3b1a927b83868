// From the module, not from globalThis: tests with fake timers would otherwise stop the queues.
import { setImmediate } from 'node:timers';
import { Deferred } from '../../common/waiting/waiting.js';

/**
 * Tasks that only wait for each other's promises never let the event loop turn, so timers, signals and sockets starve.
 * This lets a fixed number of steps pass in a row, and then makes the next ones wait for a turn of the loop.
 */
export class EventLoopYield {
  readonly #stepsPerTurn: number;
  #steps = 0;
  #turn: Promise<true> | undefined = undefined;

  constructor(stepsPerTurn: number) {
    this.#stepsPerTurn = stepsPerTurn;
  }

  /**
   * Counts a step. Undefined: continue; otherwise wait for the shared promise, which resolves to true as publishes do.
   */
  step(): Promise<true> | undefined {
    if (this.#turn === undefined) {
      this.#steps++;
      if (this.#steps <= this.#stepsPerTurn) return undefined;
      const { promise, resolve } = new Deferred<true>();
      this.#turn = promise;
      setImmediate(() => {
        this.#steps = 0;
        this.#turn = undefined;
        resolve(true);
      });
    }
    return this.#turn;
  }
}
