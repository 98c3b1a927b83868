import type { Broker } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { checkOptionNames, checkSignal, durationOption, integerOption } from '../common/options.js';
import { within, withOutage } from '../common/waiting/waiting.js';
import { isQueueError } from '../errors.js';
import { type HeldLock, Permit } from './held-lock.js';
import { checkLockName, fillPermits, permitQueueSpec } from './permit-queue.js';

/** The options of `createLock`. All have defaults. */
export interface LockOptions {
  /** How many holders the lock may have at a time: 1 for a mutex, more for a semaphore. 1 to 1000. Default: 1. */
  readonly permits?: number | undefined;
}

/** Limits for the wait for a permit. */
export interface AcquireOptions {
  /** Ends the wait with `ABORTED`. Has no effect once the lock is held. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for a permit, in milliseconds; then `TIMEOUT`. Default: `Infinity`. */
  readonly timeoutMs?: number | undefined;
}

/** A mutex or a semaphore that is shared by all processes on one broker. Created by {@link createLock}. */
export interface Lock {
  /** The name of the lock, the same in all processes that share it. */
  readonly name: string;
  /** How many holders the lock may have at once. */
  readonly permits: number;
  /**
   * Waits for a permit. Waiters are served in order. The lock is not re-entrant: acquiring a mutex again while holding
   * it is a deadlock.
   *
   * Rejects: `TIMEOUT`, `ABORTED` and `CLOSED`, and no permit is held then; `QUEUE_MISMATCH` if the lock was created
   * with a different number of permits; `QUEUE_MISSING` if its queue was deleted; and with errors of declaring,
   * publishing and subscribing.
   */
  acquire(options?: AcquireOptions): Promise<HeldLock>;
}

/**
 * A lock built on a queue with one message per permit: the subscriber that has a message unsettled holds the lock. If a
 * holder dies or loses its connection, its permit goes to the next waiter; no lease has to be renewed.
 *
 * ```ts
 * const lock = createLock(broker, 'box-office');
 * await using held = await lock.acquire({ timeoutMs: 5000 });
 * await sellTickets({ signal: held.signal });
 * ```
 *
 * The first process to acquire the lock creates its queues: `name`, `name.permits` and `name.filled`, which nothing
 * else may use. The lock can't stop a process that was cut off from the broker and does not know it yet. If correctness
 * depends on it, the data store needs a check of its own: see docs/locks.md.
 *
 * Throws `INVALID_OPTION`.
 */
export function createLock(broker: Broker, name: string, options?: LockOptions): Lock {
  checkOptionNames('createLock', options, ['permits']);
  const backend = backendOf(broker);
  checkLockName(name);
  const permits = integerOption('permits', options?.permits, { min: 1, max: 1000, default: 1 });
  let filling: Promise<string> | undefined;

  /** Shared by concurrent calls of `acquire`; the limits of each end only its own wait. */
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
      checkSignal(signal);
      const timeoutMs = durationOption('timeoutMs', given.timeoutMs, {
        infinity: true,
        default: Number.POSITIVE_INFINITY,
      });
      const permit = new Permit(name);
      try {
        await within(waitFor(permit), `acquiring '${name}'`, { signal, timeoutMs }, 'no free permit');
        return permit;
      } catch (error) {
        // Not awaited: on a silent connection it would take longer than the caller wants to wait.
        void permit.release();
        if (isQueueError(error, 'QUEUE_MISSING')) filling = undefined;
        throw withOutage(error, backend.outage);
      }
    },
  };
}
