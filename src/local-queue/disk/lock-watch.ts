import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const THREAD = 0;
const WAITING = 1;

const MAX_COUNT = 0x7fff_ffff;

/** A thread that is found waiting twice has waited for at least this long. */
const LOOK_EVERY_MS = 500;

/** Ignored by whoever does not listen for it. */
const SIGNAL = 'SIGURG';

/**
 * Wakes the store thread where it sleeps for a lock that is free.
 *
 * Whoever lets go of a lock between processes wakes one of those who wait for it. Where that one is killed in this
 * very moment, and somebody else took the lock before it was dead, nobody wakes the next: Linux makes up for the death
 * of the one only while the lock is free (handle_futex_death in kernel/futex/core.c). The next one would sleep until
 * others contend for the lock again, which on a quiet folder is never. A signal has it look at the lock once more.
 *
 * In the main thread of a process on Linux; elsewhere nothing can be sent to a thread.
 */
export class LockWatch {
  /** To be handed to the thread, for a watch of its own on it. */
  readonly memory: SharedArrayBuffer;
  readonly #state: Int32Array;
  /** The store thread's: how often it has waited. */
  #count = 0;
  /** The main thread's: what it saw when it last looked. */
  #seen = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(memory = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#state = new Int32Array(memory);
  }

  /** The main thread's part. */
  start(): void {
    if (!isMainThread) return;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    process.off(SIGNAL, this.#onSignal);
  }

  /** The store thread's part, before all else. */
  enter(): void {
    Atomics.store(this.#state, THREAD, ownThread());
  }

  /** It is about to wait for the lock. */
  begin(): void {
    // Never 0, which means that it does not wait.
    this.#count = (this.#count % MAX_COUNT) + 1;
    Atomics.store(this.#state, WAITING, this.#count);
  }

  /** It has it. */
  end(): void {
    Atomics.store(this.#state, WAITING, 0);
  }

  #look(): void {
    const waiting = Atomics.load(this.#state, WAITING);
    const thread = Atomics.load(this.#state, THREAD);
    if (waiting !== 0 && waiting === this.#seen && thread !== 0) {
      // Without somebody who listens, the signal would not reach the thread.
      if (!process.listeners(SIGNAL).includes(this.#onSignal)) process.on(SIGNAL, this.#onSignal);
      signal(thread);
    }
    this.#seen = waiting;
  }

  readonly #onSignal = (): void => {};
}

function signal(thread: number): void {
  try {
    process.kill(thread, SIGNAL);
  } catch {
    // It has just ended.
  }
}

/** The system's number of the thread that calls; 0 where it can't be had. */
function ownThread(): number {
  try {
    return Number(basename(readlinkSync('/proc/thread-self')));
  } catch {
    return 0;
  }
}
