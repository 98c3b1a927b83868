import type { Delivery, MessageHeaders } from '../broker.js';
import { QueueError } from '../errors.js';
import type { HandlerContext } from './consumer.js';
import { withoutFrames } from './error-stack.js';

/** The warning before a run's time limit. */
export interface RunWarning {
  /** On the clock of `performance.now()`. */
  readonly at: number;
  emit(): void;
}

/**
 * The handling of one message.
 *
 *   decoding ──begin()──► handling ──end()──► settled by its outcome
 *      │                     └──expire()──► over: settled as a failure, whatever the handler does later
 *      ├──expire()────────────────────────► ▲
 *      └──discard()───────────────────────► over: nothing to settle, and the handler never begins
 *
 * A message may be taken away at any time. The run is then abandoned and has nothing to settle; a handler that has started
 * keeps its slot until it ends.
 */
export class HandlerRun {
  readonly delivery: Delivery;
  /** Its index among the current runs. For {@link Runs} only. */
  place = 0;
  /** While its retry or dead letter is being stored. Never rejects. */
  storing: Promise<void> | undefined = undefined;
  #phase: 'decoding' | 'handling' | 'over' = 'decoding';
  /** Created on demand: most handlers never read the signal, and a controller is expensive. */
  #controller: AbortController | undefined = undefined;
  #abortReason: Error | undefined = undefined;
  #abandoned = false;
  /** On the clock of `performance.now()`. */
  #deadline = Number.POSITIVE_INFINITY;
  #warning: RunWarning | undefined = undefined;

  constructor(delivery: Delivery) {
    this.delivery = delivery;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** Whether this run may no longer settle the message. */
  get abandoned(): boolean {
    return this.#abandoned;
  }

  get isDecoding(): boolean {
    return this.#phase === 'decoding';
  }

  /** Sets the time limit and the warning before it. Only the first call counts. */
  limit(deadline: number, warning: RunWarning | undefined): void {
    if (this.#deadline !== Number.POSITIVE_INFINITY || this.#warning !== undefined) return;
    this.#deadline = deadline;
    this.#warning = warning;
  }

  /** When the warning or the time limit is due, whichever is first. */
  get nextDue(): number {
    return Math.min(this.#deadline, this.#warning?.at ?? Number.POSITIVE_INFINITY);
  }

  /** Emits the warning if it is due. */
  warnIfDue(now: number): void {
    const warning = this.#warning;
    if (warning === undefined || warning.at > now) return;
    this.#warning = undefined;
    if (!this.#abandoned) warning.emit();
  }

  /** Whether the time limit has passed. */
  isOverdue(now: number): boolean {
    return this.#deadline <= now;
  }

  /** Called when the value is decoded. False if it is too late. */
  begin(): boolean {
    if (this.#phase !== 'decoding') return false;
    this.#phase = 'handling';
    return true;
  }

  /** Called when the outcome is known. False if it is too late. */
  end(): boolean {
    if (this.#phase === 'over') return false;
    this.#clearLimit();
    return true;
  }

  /** The message was taken away: the result of the handler no longer counts. */
  abandon(reason: Error): void {
    this.#abandoned = true;
    this.#abort(reason);
  }

  /** Like `abandon`, before the handler has started, which it never will. */
  discard(reason: Error): void {
    this.#phase = 'over';
    this.#clearLimit();
    this.abandon(reason);
  }

  /** Called when the time limit has passed. */
  expire(reason: Error): void {
    this.#phase = 'over';
    this.#clearLimit();
    this.#abort(reason);
  }

  #clearLimit(): void {
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#warning = undefined;
  }

  #abort(reason: Error): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(reason);
  }
}

/** The error for a handler that has timed out. */
export function handlerTimeout(queue: string, { message }: Delivery, timeoutMs: number): QueueError {
  const text = `message ${message.id} of '${queue}' was not handled within ${Math.ceil(timeoutMs)} ms (handlerTimeoutMs)`;
  return withoutFrames(new QueueError('TIMEOUT', text));
}

/** The context that a handler receives. All public fields are own properties, so it can be spread. */
export class Context implements HandlerContext {
  readonly queue: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly id: string;
  readonly attempt: number;
  readonly redelivered: boolean;
  readonly headers: MessageHeaders;
  readonly timestamp: number | undefined;
  readonly type: string | undefined;
  readonly appId: string | undefined;
  readonly userId: string | undefined;
  readonly expiresAt: number | undefined;
  readonly correlationId: string | undefined;
  readonly replyTo: string | undefined;
  declare readonly signal: AbortSignal;
  readonly #run: HandlerRun;

  constructor(run: HandlerRun, queue: string) {
    const { message, attempt, redelivered } = run.delivery;
    this.#run = run;
    this.queue = queue;
    this.exchange = message.origin?.exchange ?? '';
    this.routingKey = message.origin?.routingKey ?? queue;
    this.id = message.id;
    this.attempt = attempt;
    this.redelivered = redelivered;
    this.headers = message.headers;
    this.timestamp = message.timestamp;
    this.type = message.type;
    this.appId = message.appId;
    this.userId = message.userId;
    this.expiresAt = message.expiresAt;
    this.correlationId = message.correlationId;
    this.replyTo = message.replyTo;
    Object.defineProperty(this, 'signal', Context.#signal);
  }

  /** The run that this context was created for. */
  static runOf(context: HandlerContext): HandlerRun {
    return (context as Context).#run;
  }

  /** One getter for all contexts: a closure for each would cost four times as much. */
  static readonly #signal: PropertyDescriptor & ThisType<Context> = {
    get() {
      return this.#run.signal;
    },
    enumerable: true,
  };
}

/**
 * The current runs, unordered. Each knows its index, so adding and removing take constant time without a hash table, which
 * would cost a tenth of the time that a message takes.
 */
export class Runs {
  readonly #runs: HandlerRun[] = [];

  get size(): number {
    return this.#runs.length;
  }

  add(run: HandlerRun): void {
    run.place = this.#runs.length;
    this.#runs.push(run);
  }

  /** The run must have been added. */
  remove(run: HandlerRun): void {
    const last = this.#runs.pop() as HandlerRun;
    if (last === run) return;
    last.place = run.place;
    this.#runs[run.place] = last;
  }

  /** The run of a delivery, if there is one. A linear search, which only lost deliveries need. */
  of(delivery: Delivery): HandlerRun | undefined {
    return this.#runs.find((run) => run.delivery === delivery);
  }

  /** A snapshot, since runs may leave during an iteration. */
  all(): HandlerRun[] {
    return [...this.#runs];
  }
}
