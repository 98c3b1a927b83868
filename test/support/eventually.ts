import { setTimeout as delay } from 'node:timers/promises';

export interface EventuallyOptions {
  /** Default 60,000 ms. */
  readonly timeoutMs?: number;
  /** Default 20 ms. */
  readonly intervalMs?: number;
}

/**
 * Asks again and again until there is an answer, for facts that no event reports (a queue's depth as the broker sees
 * it, say). An answer is whatever `ask` returns without throwing, other than `false` and `undefined`: a chain with `?.`
 * that leads nowhere yet is no answer, and does not compile without `?? false`. Where there is an event, wait for that.
 */
export async function eventually<T>(
  ask: (() => T | Promise<T>) & (undefined extends T ? never : unknown),
  options: EventuallyOptions = {},
): Promise<Exclude<T, false>> {
  return repeat(async () => {
    const answer: unknown = await ask();
    if (answer === undefined) throw new Error('the question returned undefined');
    return answer === false ? NOT_YET : (answer as Exclude<T, false>);
  }, options);
}

/**
 * Runs assertions again and again until they pass. A question does not compile here: its answer would not be looked at.
 */
export async function untilAsserted<T>(
  assertions: (() => T | Promise<T>) & (T extends void ? unknown : never),
  options: EventuallyOptions = {},
): Promise<void> {
  await repeat(async () => {
    await assertions();
  }, options);
}

const NOT_YET = Symbol('not yet');

async function repeat<T>(
  attempt: () => Promise<T | typeof NOT_YET>,
  { timeoutMs = 60_000, intervalMs = 20 }: EventuallyOptions,
): Promise<T> {
  const over = AbortSignal.timeout(timeoutMs);
  const timedOut = new Promise<typeof NOT_YET>((resolve) => {
    over.addEventListener('abort', () => resolve(NOT_YET), { once: true });
  });
  let lastFailure: unknown;
  while (!over.aborted) {
    try {
      // The attempt itself may hang.
      const answer = await Promise.race([attempt(), timedOut]);
      if (answer !== NOT_YET) return answer as T;
      if (!over.aborted) lastFailure = undefined;
    } catch (error) {
      lastFailure = error;
    }
    if (!over.aborted) await delay(intervalMs);
  }
  const last = lastFailure instanceof Error ? `: ${lastFailure.message}` : '';
  throw new Error(`not within ${timeoutMs} ms${last}`, { cause: lastFailure });
}
