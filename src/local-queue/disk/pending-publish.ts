import type { PublishOptions } from '../../broker.js';
import { QueueError } from '../../errors.js';
import { unwatchAbort, watchAbort } from '../abort-watch.js';
import type { Refusal } from './protocol.js';
import type { Pending } from './store-link.js';

/** How long one who gave up waits to hear whether the message got in before that. */
const CERTAINTY_MS = 5000;

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
  readonly promise: Promise<void>;
  readonly #id: string;
  #resolve!: () => void;
  #reject!: (error: QueueError) => void;
  #reason: QueueError | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;
  #signal: AbortSignal | undefined = undefined;
  #onAbort: (() => void) | undefined = undefined;

  /** `id` is the message's. */
  constructor(sender: object, id: string) {
    this.sender = sender;
    this.#id = id;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** `giveUp` tells the store thread. */
  limit(options: PublishOptions, giveUp: (reason: QueueError) => void): void {
    const { signal, timeoutMs } = options;
    if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
      this.#timer = setTimeout(() => {
        giveUp(new QueueError('TIMEOUT', `message ${this.#id}: waited ${timeoutMs} ms in vain for room`));
      }, timeoutMs);
    }
    if (signal !== undefined) {
      this.#signal = signal;
      this.#onAbort = () => {
        const text = `message ${this.#id}: aborted while waiting for room`;
        giveUp(new QueueError('ABORTED', text, { cause: signal.reason }));
      };
      watchAbort(signal, this.#onAbort);
    }
  }

  /** The sender no longer waits for room. */
  givenUp(reason: QueueError): void {
    this.#release();
    this.#reason ??= reason;
    this.#timer = setTimeout(() => this.gone(reason), CERTAINTY_MS);
  }

  done(): void {
    this.#release();
    this.#resolve();
  }

  refused(code: Refusal['code'], message: string): void {
    this.#release();
    if (code === 'GIVEN_UP') this.#reject(this.#reason ?? new QueueError('CLOSED', 'the broker was closed'));
    else this.#reject(new QueueError(code, `message ${this.#id}: ${message}`));
  }

  gone(cause: QueueError): void {
    this.#release();
    const text = `message ${this.#id} was on its way to the disk, and may be stored: ${cause.message}`;
    this.#reject(new QueueError('UNCONFIRMED', text, { cause }));
  }

  #release(): void {
    clearTimeout(this.#timer);
    if (this.#signal !== undefined && this.#onAbort !== undefined) unwatchAbort(this.#signal, this.#onAbort);
  }
}
