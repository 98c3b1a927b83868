import type { PublishOptions } from '../../broker.js';
import { Deferred, limitWait } from '../../common/limits.js';
import { QueueError } from '../../errors.js';
import type { Refusal } from './protocol.js';
import type { Pending } from './store-client.js';

/** The error, with what kept the caller waiting; as it is where that is not known. */
export function because(error: QueueError, why: string | undefined): QueueError {
  if (!why) return error;
  return new QueueError(error.code, `${error.message}: ${why}`, { cause: error.cause });
}

/**
 * A publish on its way.
 *
 *   sent ──answer──────────────────────────────────────────► settled
 *     └──the time limit, the signal, close──► given up ──────► ▲
 *                                  the answer, or none in time
 *
 * Only the store thread knows whether the message is in, so whoever gives up still hears it from there.
 */
export class PendingPublish implements Pending {
  /** The broker that it was sent through. */
  readonly sender: object;
  /** The message's. */
  readonly #id: string;
  readonly #deferred = new Deferred();
  #reason: QueueError | undefined = undefined;
  #release: (() => void) | undefined = undefined;

  constructor(sender: object, id: string) {
    this.sender = sender;
    this.#id = id;
  }

  get promise(): Promise<void> {
    return this.#deferred.promise;
  }

  /** `giveUp` tells the store thread. */
  limit(options: PublishOptions, giveUp: (reason: QueueError) => void): void {
    this.#release = limitWait(options, `message ${this.#id}`, giveUp, 'not stored');
  }

  /** The sender no longer waits for room. */
  givenUp(reason: QueueError): void {
    this.#release?.();
    this.#reason ??= reason;
  }

  done(): void {
    this.#release?.();
    this.#deferred.resolve();
  }

  refused(code: Refusal['code'], message: string): void {
    this.#release?.();
    if (code === 'GIVEN_UP') {
      const reason = this.#reason ?? new QueueError('CLOSED', 'the broker was closed');
      this.#deferred.reject(because(reason, message));
    } else {
      this.#deferred.reject(new QueueError(code, `message ${this.#id}: ${message}`));
    }
  }

  gone(error: QueueError): void {
    this.#release?.();
    const cause = this.#reason ?? error;
    const text = `message ${this.#id} was on its way to the disk, and may be stored: ${cause.message}`;
    this.#deferred.reject(new QueueError('UNCONFIRMED', text, { cause }));
  }
}
