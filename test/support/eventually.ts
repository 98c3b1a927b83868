import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** Default 30,000 ms. */
  readonly timeoutMs?: number;
  /** Default 20 ms. */
  readonly intervalMs?: number;
}

/**
 * Asks again and again until the answer is there, for facts that no event tells (a queue's depth as the broker sees
 * it, say). An answer is whatever `ask` returns without throwing, other than `false`. Where there is an event, wait
 * for that.
 */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<Exclude<T, false>> {
  const { timeoutMs = 30_000, intervalMs = 20 } = options;
  const over = AbortSignal.timeout(timeoutMs);
  const timedOut = new Promise<typeof over>((resolve) => {
    over.addEventListener('abort', () => resolve(over), { once: true });
  });
  let lastFailure: unknown;
  while (!over.aborted) {
    try {
      // The question itself may hang.
      const answer = await Promise.race([Promise.resolve().then(ask), timedOut]);
      if (answer !== over && answer !== false) return answer as Exclude<T, false>;
      lastFailure = answer === false ? undefined : lastFailure;
    } catch (error) {
      lastFailure = error;
    }
    if (!over.aborted) await delay(intervalMs);
  }
  const last = lastFailure instanceof Error ? `: ${lastFailure.message}` : '';
  throw new Error(`not within ${timeoutMs} ms${last}`, { cause: lastFailure });
}
