import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import type { Message, Outage } from '../broker.js';
import { MAX_DELAY_MS } from '../common/options.js';
import { Deferred, onAbort, outageText, timeoutText } from '../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../errors.js';

/**
 * One request, until its answer or its end.
 *
 *   preparing ──send()──► sending ──stored──► waiting ──reply──► over
 *       ▲                    ├──unconfirmed──► unknown            ▲
 *       └──(address lost, nothing stored)                         │
 *       stop(), from anywhere ────────────────────────────────────┘
 *
 * If it ends in `preparing`, nothing was stored; in `sending` only the publish knows; in `unknown` nobody does; in
 * `waiting` the request is stored and may be handled, now or later.
 */
export class Call {
  /** Bounds the preparation. */
  readonly stopped: AbortSignal;

  readonly #queue: string;
  readonly #stop = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #unlisten: () => void;
  #state: 'preparing' | 'sending' | 'unknown' | 'waiting' = 'preparing';
  #publish = new AbortController();
  #publishing: Promise<unknown> | undefined;
  /** What `stop` was called with. */
  #stopReason = '';
  /** Why the address of this call's publish is gone. */
  #lost: Error | undefined;
  readonly #reply = new Deferred<Message>();

  /** `outage`: why the broker can't be reached at the moment. */
  constructor(
    queue: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    outage: () => Outage | undefined = () => undefined,
  ) {
    this.#queue = queue;
    this.stopped = this.#stop.signal;
    this.reply.catch(() => {});
    // There is a timer even without a limit, to keep the process alive.
    this.#timer =
      timeoutMs === Number.POSITIVE_INFINITY
        ? setInterval(() => {}, MAX_DELAY_MS)
        : setTimeout(() => {
            const down = outage();
            const why = timeoutText(timeoutMs, 'no reply') + outageText(down);
            this.stop('TIMEOUT', why, down && { cause: down.reason });
          }, timeoutMs);
    const abort = () => this.stop('ABORTED', 'aborted', { cause: signal?.reason });
    this.#unlisten = signal === undefined ? () => {} : onAbort(signal, abort);
    if (signal?.aborted) abort();
  }

  /** Rejects when the call ends without an answer. */
  get reply(): Promise<Message> {
    return this.#reply.promise;
  }

  /** The outcome of `work`, unless the call ends first. */
  whilePreparing<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.reply as Promise<never>]);
  }

  /** The outcome of functions of the program (`around`, the schema of the reply), unless the call is over before. */
  async unlessOver<T>(functions: Promise<T>): Promise<T> {
    const over = new Deferred<never>();
    const end = async () => {
      // What the call itself ends with is more exact, if the functions pass it on.
      await Promise.allSettled([this.#publishing]);
      await eventLoopTurn();
      const { reason } = this.stopped;
      if (this.#state === 'preparing') over.reject(reason);
      else if (this.#state === 'unknown') over.reject(this.#unanswered('may have been stored', reason));
      else over.reject(this.#unanswered('was stored', reason));
    };
    const unlisten = onAbort(this.stopped, end);
    if (this.stopped.aborted) void end();
    try {
      return await Promise.race([functions, over.promise]);
    } finally {
      over.promise.catch(() => {});
      unlisten();
    }
  }

  /**
   * Sends the request. False if its reply address was lost before it was stored: then it may be sent again. Rejects as
   * `Broker.publish` does.
   */
  async send(publish: (signal: AbortSignal) => Promise<unknown>): Promise<boolean> {
    this.#state = 'sending';
    this.#lost = undefined;
    this.#publish = new AbortController();
    try {
      const publishing = publish(this.#publish.signal);
      this.#publishing = publishing;
      // The reply may arrive before the confirm.
      await Promise.race([publishing, this.reply]);
    } catch (error) {
      const isUnconfirmed = isQueueError(error, 'UNCONFIRMED');
      this.#state = isUnconfirmed ? 'unknown' : 'preparing';
      if (isUnconfirmed && this.#publish.signal.aborted)
        throw this.#unanswered('may have been stored', this.#publish.signal.reason);
      if (!isQueueError(error, 'ABORTED')) throw error;
      if (this.stopped.aborted) throw this.stopped.reason;
      if (this.#lost === undefined) throw error;
      return false;
    }
    this.#state = 'waiting';
    if (this.stopped.aborted) this.#reply.reject(this.#unanswered('was stored', this.stopped.reason));
    else if (this.#lost !== undefined) this.#reply.reject(this.#unanswered('was stored', this.#lost));
    return true;
  }

  receive(reply: Message): void {
    this.#reply.resolve(reply);
  }

  /** Called when the reply address is lost. */
  lose(reason: Error): void {
    if (this.#state === 'preparing' || this.#state === 'unknown') return;
    this.#lost = reason;
    if (this.#state === 'waiting') this.#reply.reject(this.#unanswered('was stored', reason));
    this.#publish.abort(reason);
  }

  stop(code: 'TIMEOUT' | 'ABORTED' | 'CLOSED', why: string, options?: { readonly cause: unknown }): void {
    if (this.stopped.aborted) return;
    const reason = new QueueError(code, `the request to '${this.#queue}': ${why}`, options);
    this.#stopReason = why;
    if (this.#state === 'preparing') this.#reply.reject(reason);
    this.#stop.abort(reason);
    if (this.#state === 'waiting') this.#reply.reject(this.#unanswered('was stored', reason));
    this.#publish.abort(reason);
  }

  /** Removes all timers and listeners. */
  end(): void {
    clearTimeout(this.#timer);
    this.#unlisten();
  }

  #unanswered(state: string, cause: Error): QueueError {
    // Its message names the request, too.
    const why = cause === this.stopped.reason ? this.#stopReason : cause.message;
    return new QueueError(
      'UNCONFIRMED',
      `the request to '${this.#queue}' ${state}, and may already have been, or may yet be, handled: ${why}`,
      { cause },
    );
  }
}
