// From the module and not from globalThis, where tests that fake the clock would stop the queues, too.
import { setImmediate } from 'node:timers';
import { Deferred } from '../../common/limits.js';

/**
 * Tasks that only ever wait for each other's promises never let the event loop turn: timers, signals and sockets
 * starve. This lets a fixed number of steps pass in a row, and then makes them wait for one turn of the loop.
 */
export class EventLoopYield {
  readonly #stepsPerTurn: number;
  #steps = 0;
  #turn: Promise<true> | undefined = undefined;

  constructor(stepsPerTurn: number) {
    this.#stepsPerTurn = stepsPerTurn;
  }

  /** Counts a step. Undefined: go on. Otherwise go on when the promise, which all share, resolves: to true, as publishes do. */
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
