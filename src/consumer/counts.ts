/** What became of a consumer's deliveries since it was made. The numbers only grow. */
export interface ConsumerCounts {
  /** Handled and acknowledged. */
  readonly handled: number;
  /** Attempts that failed and are stored for another one. */
  readonly retried: number;
  /** Moved to the dead-letter queue. */
  readonly deadLettered: number;
  /** Given back to the queue because the consumer stops. */
  readonly released: number;
  /** Taken away before they were settled, by a lost link; they come again. */
  readonly lost: number;
  /** Given back because their retry or dead letter could not be stored. */
  readonly settleFailed: number;
  /** Came marked as one that may have been handed out before. They are among the others, too. */
  readonly redelivered: number;
}

export type MutableCounts = { -readonly [Name in keyof ConsumerCounts]: number };

export function noCounts(): MutableCounts {
  return {
    handled: 0,
    retried: 0,
    deadLettered: 0,
    released: 0,
    lost: 0,
    settleFailed: 0,
    redelivered: 0,
  };
}
