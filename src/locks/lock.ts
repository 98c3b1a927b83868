import type { Broker } from '../broker.js';
import { within } from '../common/limits.js';
import {
  backendOf,
  checkOptionNames,
  durationOption,
  integerOption,
  invalidOption,
} from '../common/options.js';
import { isQueueError } from '../errors.js';
import { type HeldLock, Permit } from './held-lock.js';
import { checkLockName, fillPermits, permitQueueSpec } from './permit-queue.js';

/** What `createLock` takes. All have defaults. */
export interface LockOptions {
  /** How many may hold the lock at a time: 1 is a mutex, more make a semaphore. 1 to 1000. Default: 1. */
  readonly permits?: number | undefined;
}

/** What bounds the wait for a permit. */
export interface AcquireOptions {
  /** Ends the wait: `ABORTED`. It has no effect once the lock is held. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for a permit, in milliseconds; then `TIMEOUT`. Default: `Infinity`. */
  readonly timeoutMs?: number | undefined;
}

/** A mutex or a semaphore that the processes of one broker share. Made by {@link createLock}. */
export interface Lock {
  /** The name of the lock, the same in all processes that share it. */
  readonly name: string;
  /** How many holders there may be at once. */
  readonly permits: number;
  /**
   * Waits for a permit. Waiters are served in turn. The lock is not re-entrant: acquiring it again while
   * holding its only permit waits for oneself.
   *
   * Rejects: `TIMEOUT`, `ABORTED` and `CLOSED`, and then nothing is held; `QUEUE_MISMATCH` where the lock was made with
   * another number of permits; `QUEUE_MISSING` where its queue was deleted; what declaring, publishing and subscribing
   * reject with.
   */
  acquire(options?: AcquireOptions): Promise<HeldLock>;
}

/**
 * A lock over a queue: as many messages as permits, and whoever has one of them unsettled holds the lock. A holder that
 * dies, or loses its link, loses the permit to the next one; the queue needs no lease to be renewed.
 *
 * ```ts
 * const lock = createLock(broker, 'box-office');
 * await using held = await lock.acquire({ timeoutMs: 5000 });
 * await sellTickets({ signal: held.signal });
 * ```
 *
 * The first process that acquires it makes the lock: the queues `name`, `name.permits` and `name.filled`, which are
 * for the lock alone. It keeps honest processes out of each other's way; it can't stop one that was cut off and does
 * not know it yet. What must be right even then needs a check where the data are: see docs/locks.md.
 *
 * Throws `INVALID_OPTION`.
 */
export function createLock(broker: Broker, name: string, options?: LockOptions): Lock {
  checkOptionNames('createLock', options, ['permits']);
  const backend = backendOf(broker);
  checkLockName(name);
  const permits = integerOption('permits', options?.permits, { min: 1, max: 1000, default: 1 });
  let filling: Promise<string> | undefined;

  /** Shared by all who acquire at the same time, whose own limits end only their own wait. */
  function filled(): Promise<string> {
    filling ??= fillPermits(backend, name, permits).catch((error) => {
      filling = undefined;
      throw error;
    });
    return filling;
  }

  async function waitFor(permit: Permit): Promise<void> {
    const queue = await filled();
    const { take, lose, stopped: signal } = permit;
    await backend.declare(permitQueueSpec(queue), { signal });
    permit.attach(await backend.subscribe(queue, { prefetch: 1, signal, onLost: lose }, take));
    await permit.acquired;
  }

  return {
    name,
    permits,
    async acquire(given = {}) {
      checkOptionNames('acquire', given, ['signal', 'timeoutMs']);
      const { signal } = given;
      if (signal !== undefined && !(signal instanceof AbortSignal)) {
        throw invalidOption('signal', 'an AbortSignal', signal);
      }
      const timeoutMs = durationOption('timeoutMs', given.timeoutMs, {
        infinity: true,
        default: Number.POSITIVE_INFINITY,
      });
      const permit = new Permit(name);
      try {
        await within(waitFor(permit), `acquiring '${name}'`, { signal, timeoutMs }, 'no free permit');
        return permit;
      } catch (error) {
        // In the background: over a silent link it takes longer than the caller wanted to wait.
        void permit.release();
        if (isQueueError(error, 'QUEUE_MISSING')) filling = undefined;
        throw error;
      }
    },
  };
}
