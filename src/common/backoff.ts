/** The bounds of an exponential back-off. Milliseconds. */
export interface BackoffBounds {
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
}

/**
 * The wait before the `attempt`th try (from 1): drawn at random from 0 to a bound that doubles from try to try.
 * The full jitter keeps the clients of a broker that comes back from arriving all at once.
 */
export function backoffMs(attempt: number, { initialDelayMs, maxDelayMs }: BackoffBounds): number {
  const bound = Math.min(maxDelayMs, initialDelayMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(Math.random() * bound);
}
