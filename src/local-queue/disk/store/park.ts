import { hasBuiltinSqlite } from './choose-sqlite.js';

/** How long the end of the process waits for the store thread to come out of SQLite. A disk may hold it. */
const LIMIT_MS = 10_000;

const INSIDE = 0;
const STOP = 1;

/**
 * Keeps the store thread out of SQLite while its process exits: the package that brings SQLite to Node 20 aborts the
 * process when a thread ends in it. Nothing of it happens where Node brings SQLite along.
 */
export class Park {
  readonly memory: SharedArrayBuffer | undefined;
  readonly #state: Int32Array | undefined;
  /** In the store thread: calls may be nested. */
  #isInside = false;

  /** With the memory of the main thread's end for the store thread's. */
  constructor(memory = hasBuiltinSqlite ? undefined : new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#state = memory && new Int32Array(memory);
  }

  /** In the main thread, for as long as the store thread is there. */
  guard(): void {
    if (this.#state === undefined) return;
    guarded.add(this);
    if (guarded.size === 1) process.on('exit', stopAll);
  }

  unguard(): void {
    guarded.delete(this);
    if (guarded.size === 0) process.off('exit', stopAll);
  }

  /** In the store thread: around all that happens in SQLite. */
  run<T>(work: () => T): T {
    const state = this.#state;
    if (state === undefined || this.#isInside) return work();
    Atomics.store(state, INSIDE, 1);
    if (Atomics.load(state, STOP) === 1) {
      this.#leave(state);
      Atomics.wait(state, STOP, 1);
    }
    this.#isInside = true;
    try {
      return work();
    } finally {
      this.#isInside = false;
      this.#leave(state);
    }
  }

  #leave(state: Int32Array): void {
    Atomics.store(state, INSIDE, 0);
    Atomics.notify(state, INSIDE);
  }

  /** Returns when the store thread is not in SQLite, and will not be. */
  stop(): void {
    const state = this.#state as Int32Array;
    Atomics.store(state, STOP, 1);
    Atomics.wait(state, INSIDE, 1, LIMIT_MS);
  }
}

const guarded = new Set<Park>();

function stopAll(): void {
  for (const park of guarded) park.stop();
}
