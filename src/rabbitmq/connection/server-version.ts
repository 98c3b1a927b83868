/** The consequences of a RabbitMQ server's version for a client. */
export interface ServerVersion {
  /** As the server states it; `''` if it states none. */
  readonly text: string;
  /**
   * Since 4.3 `basic.nack` with requeue returns a message to a quorum queue at no cost, and `x-delivery-count` counts
   * only failures: rejections and lost connections. Earlier versions count every return (quorum-queues.md).
   */
  readonly countsFailuresOnly: boolean;
  /**
   * Since 4.0 a quorum queue has a delivery limit of 20 by default, and -1 removes it. Earlier versions have no default
   * limit and refuse negative ones.
   */
  readonly limitsDeliveries: boolean;
  /** Up to 4.2 a queue may be transient and shared; since 4.3 the broker refuses it unless its operator permits it. */
  readonly takesTransientQueues: boolean;
  /** Priority levels of a quorum queue: 32 since 4.3; two since 4.0 (up to 4, and above); one before that. */
  readonly quorumPriorities: 32 | 2 | 1;
  /**
   * Up to 4.2 a new quorum queue can be found while it still starts. A consumer that comes in before it runs crashes its
   * channel, and that costs the whole connection (541).
   */
  readonly answersBeforeQueuesRun: boolean;
  /** Since 4.3 a quorum queue can delay the redelivery of failed messages. */
  readonly delaysRetries: boolean;
}

/** A version that can't be read counts as the newest. */
export function serverVersion(text: string | undefined): ServerVersion {
  return {
    text: text ?? '',
    countsFailuresOnly: isAtLeast(text, 4, 3),
    limitsDeliveries: isAtLeast(text, 4, 0),
    takesTransientQueues: !isAtLeast(text, 4, 3),
    quorumPriorities: isAtLeast(text, 4, 3) ? 32 : isAtLeast(text, 4, 0) ? 2 : 1,
    answersBeforeQueuesRun: !isAtLeast(text, 4, 3),
    delaysRetries: isAtLeast(text, 4, 3),
  };
}

function isAtLeast(text: string | undefined, major: number, minor: number): boolean {
  const match = /^(\d+)\.(\d+)/.exec(text ?? '');
  if (match === null) return true;
  const [actualMajor, actualMinor] = [Number(match[1]), Number(match[2])];
  return actualMajor > major || (actualMajor === major && actualMinor >= minor);
}
