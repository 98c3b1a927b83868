/** What the version of a RabbitMQ server means for a client. */
export interface ServerVersion {
  /** As the server states it; `''` where it states none. */
  readonly text: string;
  /**
   * Since 4.3 `basic.nack` with requeue returns a message to a quorum queue at no cost, and `x-delivery-count`
   * counts failures only: rejections and dead connections. Before, every return counted (quorum-queues.md).
   */
  readonly countsFailuresOnly: boolean;
  /**
   * Since 4.0 a quorum queue has a delivery limit of 20 unless told otherwise, and -1 lifts it. Before, it had
   * none and took no negative one.
   */
  readonly limitsDeliveries: boolean;
  /** Up to 4.2 a queue may be transient and shared; since 4.3 the broker refuses it unless its operator permits it. */
  readonly takesTransientQueues: boolean;
  /** Levels of priority in a quorum queue: 32 since 4.3; two since 4.0, up to 4 and above; before, one. */
  readonly quorumPriorities: 32 | 2 | 1;
  /** Since 4.3 a quorum queue can keep what failed for a while before it delivers it again. */
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
    delaysRetries: isAtLeast(text, 4, 3),
  };
}

function isAtLeast(text: string | undefined, major: number, minor: number): boolean {
  const match = /^(\d+)\.(\d+)/.exec(text ?? '');
  if (match === null) return true;
  const [actualMajor, actualMinor] = [Number(match[1]), Number(match[2])];
  return actualMajor > major || (actualMajor === major && actualMinor >= minor);
}
