/** The means to wait: signals, time limits, deferred promises, pauses and back-off. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Outage, PublishOptions, WaitOptions } from '../../broker.js';
import { isQueueError, MAX_DELAY_MS, QueueError } from '../../errors.js';

/** How long one answer of the broker may take. A live broker answers in milliseconds. */
export const RPC_LIMIT_MS = 10_000;

/** How long each step of an orderly close may take before it continues without the peer. */
export const CLOSE_LIMIT_MS = 2_000;

/** The longest time for which granted starts of handlers are valid; see `StartsRequest.validMs`. */
export const MAX_GRANT_MS = 60_000;

/** A promise that is settled from outside (Node 20 lacks `Promise.withResolvers`). */
export class Deferred<T = void> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly reject: (reason: unknown) => void;

  constructor() {
    let settle: Pick<Deferred<T>, 'resolve' | 'reject'> | undefined;
    this.promise = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    // The executor has run by now.
    ({ resolve: this.resolve, reject: this.reject } = settle as Pick<Deferred<T>, 'resolve' | 'reject'>);
  }
}

/** The usual wording of `TIMEOUT`: `<action>: <unmet> within 8000 ms`. */
export function timeoutError(action: string, timeoutMs: number, unmet = 'not done'): QueueError {
  return new QueueError('TIMEOUT', `${action}: ${timeoutText(timeoutMs, unmet)}`);
}

/** The end of a `TIMEOUT` text, in whole milliseconds. */
export function timeoutText(timeoutMs: number, unmet = 'not done'): string {
  return `${unmet} within ${Math.ceil(timeoutMs)} ms`;
}

/**
 * A `TIMEOUT` together with the reason why the broker could not be reached meanwhile, in its text and as its cause. Any
 * other error, or one that has a cause, stays as it is.
 */
export function withOutage(error: unknown, outage: Outage | undefined): unknown {
  if (outage === undefined || !isQueueError(error, 'TIMEOUT') || error.cause !== undefined) return error;
  const { reason } = outage;
  return new QueueError('TIMEOUT', `${error.message}${outageText(outage)}`, { cause: reason });
}

/** The addition to the text of a time-out during an outage; empty without one. */
export function outageText(outage: Outage | undefined): string {
  return outage === undefined ? '' : ` (no connection: ${outage.reason.message})`;
}

/** The usual wording of `ABORTED`. The signal's reason becomes the cause. */
export function abortedError(action: string, signal: AbortSignal): QueueError {
  return new QueueError('ABORTED', `${action}: aborted`, { cause: signal.reason });
}

/** Throws `ABORTED`. */
export function throwIfAborted(signal: AbortSignal | undefined, action: string): void {
  if (signal?.aborted) throw abortedError(action, signal);
}

const listeners = new WeakMap<AbortSignal, { readonly callbacks: Set<() => void>; stop: () => void }>();

/**
 * Calls back when the signal is aborted, and returns a function that removes the callback; it never calls for a signal
 * that is aborted already. All callbacks of a signal share one listener: a thousand sends may wait for one signal, but
 * Node warns of a leak at the eleventh listener, and searches all listeners whenever one is added or removed.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let entry = listeners.get(signal);
  if (entry === undefined) {
    const callbacks = new Set<() => void>();
    const listener = () => {
      listeners.delete(signal);
      for (const each of callbacks) each();
    };
    signal.addEventListener('abort', listener, { once: true });
    entry = { callbacks, stop: () => signal.removeEventListener('abort', listener) };
    listeners.set(signal, entry);
  }
  const { callbacks, stop } = entry;
  callbacks.add(callback);
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0 || signal.aborted) return;
    stop();
    listeners.delete(signal);
  };
}

/** A signal that follows others, and a function that detaches it from them. */
interface LinkedSignal {
  readonly signal: AbortSignal;
  release(): void;
}

/**
 * A signal that is aborted with the first of these. `AbortSignal.any` of Node 20 does not keep its sources alive: a time
 * limit without other references may be garbage-collected, and never fires.
 */
export function anyOf(signals: readonly AbortSignal[]): LinkedSignal {
  const any = new AbortController();
  const aborted = signals.find((signal) => signal.aborted);
  if (aborted !== undefined) any.abort(aborted.reason);
  const releases = signals.map((signal) => onAbort(signal, () => any.abort(signal.reason)));
  const release = () => {
    for (const each of releases) each();
  };
  return { signal: any.signal, release };
}

/** A signal that follows another one after a grace period, so that work which is nearly done can end in order. */
export function withGrace(signal: AbortSignal | undefined, graceMs: number): LinkedSignal {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const follow = () => {
    timer = setTimeout(() => late.abort(signal?.reason), graceMs);
  };
  const unlisten = signal && onAbort(signal, follow);
  if (signal?.aborted) follow();
  const release = () => {
    unlisten?.();
    clearTimeout(timer);
  };
  return { signal: late.signal, release };
}

/**
 * Calls `end` once with `TIMEOUT` or `ABORTED` when the time is over or the signal is aborted, and returns a function that
 * cancels both. `unmet` names what the wait did not get, such as `not stored` or `no reply`.
 */
export function limitWait(
  {
    signal,
    timeoutMs = Number.POSITIVE_INFINITY,
    limitMs = timeoutMs,
  }: WaitOptions & Pick<PublishOptions, 'limitMs'>,
  action: string,
  end: (error: QueueError) => void,
  unmet?: string,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  let unlisten: (() => void) | undefined;
  const release = () => {
    clearTimeout(timer);
    unlisten?.();
  };
  if (timeoutMs !== Number.POSITIVE_INFINITY) {
    timer = setTimeout(() => {
      release();
      end(timeoutError(action, limitMs, unmet));
    }, timeoutMs);
  }
  if (signal !== undefined) {
    unlisten = onAbort(signal, () => {
      release();
      end(abortedError(action, signal));
    });
  }
  return release;
}

/** The rest of a time limit after a first step that began at `since`. Errors still quote the whole limit. */
export function limitsLeft<T extends WaitOptions & Pick<PublishOptions, 'limitMs'>>(
  limits: T,
  since: number,
): T & { readonly timeoutMs: number } {
  const { timeoutMs = Number.POSITIVE_INFINITY, limitMs = timeoutMs } = limits;
  return { ...limits, timeoutMs: Math.max(0, timeoutMs - (performance.now() - since)), limitMs };
}

/**
 * The outcome of `work`, or `TIMEOUT` or `ABORTED` if that comes first. `work` itself continues: undoing it is up to
 * the caller, and its late failure is ignored.
 */
export async function within<T>(
  work: Promise<T>,
  action: string,
  wait: WaitOptions,
  unmet?: string,
): Promise<T> {
  work.catch(() => {});
  throwIfAborted(wait.signal, action);
  const isUnlimited = wait.timeoutMs === undefined || wait.timeoutMs === Number.POSITIVE_INFINITY;
  if (isUnlimited && wait.signal === undefined) return work;
  const ended = new Deferred<never>();
  const release = limitWait(wait, action, ended.reject, unmet);
  try {
    return await Promise.race([work, ended.promise]);
  } finally {
    release();
  }
}

/** Resolves when `work` has settled either way, or after the time limit. For the steps of a close. */
export async function settledWithin(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  await within(work, 'closing', { timeoutMs }).catch(() => {});
}

/**
 * Resolves after the time, or when the signal is aborted. Does not keep the process alive unless `keepAlive` is set. A
 * timer that is set for longer than 24 days would fire at once.
 */
export async function pause(
  ms: number,
  signal?: AbortSignal | undefined,
  { keepAlive = false }: { readonly keepAlive?: boolean } = {},
): Promise<void> {
  await delay(Math.min(ms, MAX_DELAY_MS), undefined, { signal, ref: keepAlive }).catch(() => {});
}

/**
 * One timer for many deadlines. Most deadlines are dropped long before they are due, so none gets its own timer: this
 * one is set to the earliest; when it fires, all are checked, and it is set to the earliest that is left.
 */
export class Deadlines {
  /** Ends the waits that are due, and returns the earliest deadline left. */
  readonly #expire: (now: number) => number;
  #timer: NodeJS.Timeout | undefined;
  #at = Number.POSITIVE_INFINITY;

  constructor(expire: (now: number) => number) {
    this.#expire = expire;
  }

  /** On the clock of `performance.now()`; `Infinity`: none. */
  add(deadline: number): void {
    if (deadline < this.#at) this.#set(deadline);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#at = Number.POSITIVE_INFINITY;
  }

  #set(at: number): void {
    clearTimeout(this.#timer);
    this.#at = at;
    if (at === Number.POSITIVE_INFINITY) return;
    const waitMs = Math.max(0, Math.ceil(at - performance.now()));
    this.#timer = setTimeout(() => {
      this.#at = Number.POSITIVE_INFINITY;
      // Deadlines that are added meanwhile stay.
      this.add(this.#expire(performance.now()));
    }, waitMs);
    // The timer may outlive its deadlines; whether the process stays alive is up to the owner.
    this.#timer.unref();
  }
}

/** The bounds of an exponential back-off. Milliseconds. */
interface BackoffBounds {
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
}

/**
 * The delay before attempt number `attempt` (from 1): random, from 0 to a bound that doubles with each attempt. Full jitter
 * keeps the clients of a broker that comes back from connecting all at once.
 */
export function backoffMs(attempt: number, { initialDelayMs, maxDelayMs }: BackoffBounds): number {
  const bound = Math.min(maxDelayMs, initialDelayMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(Math.random() * bound);
}
