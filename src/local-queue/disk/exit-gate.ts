/**
 * Sees to it that a process ends between two transactions of its store threads, and not within one: a thread that is
 * ended within one leaves the write lock to LMDB's clean-up, which then waits for it for ever.
 *
 *   main thread, at the event 'exit':  closed := 1; wait until busy is 0, for some seconds; else SIGKILL
 *   store thread, for a transaction:   busy := 1; if closed, stand still; transact; busy := 0
 *
 * Whichever of the two writes first, the other one sees it.
 */
const BUSY = 0;
const CLOSED = 1;

/**
 * A thread can be blocked for longer, by the disk or by another process that holds the lock. Then only a signal ends
 * the process: otherwise Node would wait for the thread, and the thread, once it has the lock, keep it for ever.
 */
const EXIT_LIMIT_MS = 5000;

/** The gates of the threads that run. */
const gates = new Set<ExitGate>();

export class ExitGate {
  /** To be handed to the thread, for a gate of its own on it. */
  readonly memory: SharedArrayBuffer;
  readonly #state: Int32Array;

  constructor(memory = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#state = new Int32Array(memory);
  }

  /** The main thread's part, while the store thread runs. */
  guard(): void {
    if (gates.size === 0) process.on('exit', closeAll);
    gates.add(this);
  }

  unguard(): void {
    gates.delete(this);
    if (gates.size === 0) process.off('exit', closeAll);
  }

  /** The store thread's part: runs a transaction, unless the process ends. */
  pass<T>(transact: () => T): T {
    Atomics.store(this.#state, BUSY, 1);
    try {
      if (Atomics.load(this.#state, CLOSED) === 1) this.#standStill();
      return transact();
    } finally {
      this.#leave();
    }
  }

  close(): void {
    Atomics.store(this.#state, CLOSED, 1);
    const outcome = Atomics.wait(this.#state, BUSY, 1, EXIT_LIMIT_MS);
    if (outcome === 'timed-out') process.kill(process.pid, 'SIGKILL');
  }

  #leave(): void {
    Atomics.store(this.#state, BUSY, 0);
    Atomics.notify(this.#state, BUSY);
  }

  /** Until the thread is ended, which is in a moment. */
  #standStill(): void {
    this.#leave();
    Atomics.wait(this.#state, CLOSED, 1);
  }
}

function closeAll(): void {
  for (const gate of gates) gate.close();
}
