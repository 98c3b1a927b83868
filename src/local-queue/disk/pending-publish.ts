import type { Message, PublishOptions } from '../../broker.js';
import { quote } from '../../common/options.js';
import { abortedError, Deadlines, onAbort, timeoutError } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import type { CommandResult, Refusal } from './protocol.js';
import type { Pending, StoreClient } from './store-client.js';

/** The error, with the reason for the wait; unchanged if that is unknown. */
export function because(error: QueueError, why: string | undefined): QueueError {
  if (!why) return error;
  return new QueueError(error.code, `${error.message}: ${why}`, { cause: error.cause });
}

/** Values of wrong types, from a program without types. */
export function unwritable({ id }: Message, cause: unknown): QueueError {
  return new QueueError('INVALID_MESSAGE', `message ${quote(id)} can't be written: ${String(cause)}`, {
    cause,
  });
}

/**
 * A publish in progress.
 *
 *   sent ──answer──────────────────────────────────────────► settled
 *     └──the time limit, the signal, close──► given up ──────► ▲
 *                                  the answer, or none in time
 *
 * Only the store thread knows whether the message is stored, so a send that gives up still waits for its answer.
 */
export class PendingPublish implements Pending {
  readonly promise: Promise<boolean>;
  /** The broker that it was sent through. */
  readonly sender: object;
  /** On the clock of `performance.now()`. */
  deadline = Number.POSITIVE_INFINITY;
  /** The message's. */
  readonly #id: string;
  readonly #limitMs: number;
  // Not a `Deferred`: there is one of these for every message.
  #resolve!: (isRouted: boolean) => void;
  #reject!: (error: QueueError) => void;
  #reason: QueueError | undefined = undefined;
  #unwatch: (() => void) | undefined = undefined;

  constructor(sender: object, id: string, options: PublishOptions | undefined) {
    const timeoutMs = options?.timeoutMs ?? Number.POSITIVE_INFINITY;
    this.sender = sender;
    this.#id = id;
    this.#limitMs = options?.limitMs ?? timeoutMs;
    if (timeoutMs !== Number.POSITIVE_INFINITY) this.deadline = performance.now() + timeoutMs;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** `giveUp` notifies the store thread. */
  watch(signal: AbortSignal, giveUp: (reason: QueueError) => void): void {
    this.#unwatch = onAbort(signal, () => giveUp(abortedError(this.#action, signal)));
  }

  /** The error for the sender when the deadline has passed. */
  get timeout(): QueueError {
    return timeoutError(this.#action, this.#limitMs, 'not stored');
  }

  /** Called when the sender gives up: `reason` is its error unless the message was stored before. */
  giveUp(reason: QueueError): void {
    this.deadline = Number.POSITIVE_INFINITY;
    this.#unwatch?.();
    this.#reason ??= reason;
  }

  done(value: CommandResult): void {
    this.#unwatch?.();
    this.#resolve(value !== false);
  }

  refused(code: Refusal['code'], message: string): void {
    this.#unwatch?.();
    if (code === 'GIVEN_UP') {
      const reason = this.#reason ?? new QueueError('CLOSED', 'the broker was closed');
      this.#reject(because(reason, message));
    } else {
      this.#reject(new QueueError(code, `${this.#action}: ${message}`));
    }
  }

  gone(error: QueueError): void {
    this.#unwatch?.();
    const cause = this.#reason ?? error;
    const text = `${this.#action} was on its way to the disk, and may be stored: ${cause.message}`;
    this.#reject(new QueueError('UNCONFIRMED', text, { cause }));
  }

  get #action(): string {
    return `message ${this.#id}`;
  }
}

/** What ends the publishes of one broker: their time limits and signals, and its close. Others may share its client. */
export class PublishLimits {
  readonly #client: StoreClient;
  readonly #sender: object;
  readonly #deadlines = new Deadlines((now) => this.#expire(now));

  constructor(client: StoreClient, sender: object) {
    this.#client = client;
    this.#sender = sender;
  }

  limit(id: number, pending: PendingPublish, signal: AbortSignal | undefined): void {
    this.#deadlines.add(pending.deadline);
    if (signal !== undefined) pending.watch(signal, (reason) => this.#giveUp(id, pending, reason));
  }

  /** The broker is closed. */
  end(reason: QueueError): void {
    this.#deadlines.stop();
    for (const [id, pending] of this.#pending()) this.#giveUp(id, pending, reason);
  }

  #pending(): [number, PendingPublish][] {
    const publishes: [number, PendingPublish][] = [];
    for (const [id, pending] of this.#client.pending) {
      if (pending instanceof PendingPublish && pending.sender === this.#sender) publishes.push([id, pending]);
    }
    return publishes;
  }

  #expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const [id, pending] of this.#pending()) {
      if (pending.deadline <= now) this.#giveUp(id, pending, pending.timeout);
      else next = Math.min(next, pending.deadline);
    }
    return next;
  }

  /** The store thread knows whether the message is in; if not, it removes it from the waiting publishes. */
  #giveUp(id: number, pending: PendingPublish, reason: QueueError): void {
    pending.giveUp(reason);
    this.#client.giveUp(id);
  }
}
