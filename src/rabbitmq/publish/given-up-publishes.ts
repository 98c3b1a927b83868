import type { Outage } from '../../broker.js';
import type { QueueError } from '../../errors.js';
import type { BoundedTargets } from './bounded-target.js';
import type { ConfirmWindow } from './confirm-window.js';
import type { PendingPublish, SendQueue } from './pending-publish.js';

/** Where the messages of a publisher are. */
interface Parts {
  readonly waiting: SendQueue;
  readonly boundedTargets: BoundedTargets;
  /** On the wire. */
  readonly window: ConfirmWindow;
  readonly suspects: Set<PendingPublish>;
  /** Why there is no connection at the moment. */
  readonly outage: () => Outage | undefined;
  /** A message waits no longer: others may have waited behind it. */
  readonly onForgotten: () => void;
}

/**
 * Ends the waits of a publisher's messages before the broker has answered: at their time limit, without a connection, or
 * because the publisher is closed.
 */
export class GivenUpPublishes {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The connection is lost: sends that do not wait are refused at once. */
  refuseNoWait(): void {
    for (const pending of this.#waiting()) {
      if (!pending.noWait || pending.uncertain) continue;
      pending.fail('FULL', 'there is currently no connection to the broker');
      this.forget(pending);
    }
  }

  /** Gives up messages that have timed out, and returns the next deadline. */
  expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const pending of this.#all()) {
      if (pending.settled) continue;
      if (pending.deadline <= now) pending.expire(this.#parts.outage());
      else next = Math.min(next, pending.deadline);
    }
    this.dropSettled();
    return next;
  }

  giveUpWaiting(error: QueueError): void {
    for (const pending of this.#waiting()) pending.giveUp('CLOSED', error.message);
    this.dropSettled();
  }

  giveUpAll(error: QueueError): void {
    for (const pending of this.#all()) pending.giveUp('CLOSED', error.message, error.cause);
    this.dropSettled();
  }

  dropSettled(): void {
    for (const pending of this.#waiting()) if (pending.settled) this.forget(pending);
  }

  /** A settled message that waits leaves its queue; one on the wire stays until the broker has answered. */
  forget(pending: PendingPublish): void {
    const { suspects, waiting, boundedTargets, onForgotten } = this.#parts;
    suspects.delete(pending);
    if (!waiting.remove(pending)) boundedTargets.remove(pending);
    onForgotten();
  }

  #waiting(): PendingPublish[] {
    return [...this.#parts.waiting, ...this.#parts.boundedTargets.waiting];
  }

  #all(): PendingPublish[] {
    return [...this.#waiting(), ...this.#parts.window.all()];
  }
}
