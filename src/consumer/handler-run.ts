import type { Delivery, MessageHeaders } from '../broker.js';
import { QueueError } from '../errors.js';
import type { HandlerContext } from './consumer.js';

/** The warning before a run's time limit. */
export interface RunWarning {
  /** On the clock of `performance.now()`. */
  readonly at: number;
  emit(): void;
}

/**
 * One message's turn at a handler.
 *
 *   decoding ──begin()──► handling ──end()──► settled by its outcome
 *      │                     └──expire()──► over: settled as a failure, whatever the handler does later
 *      ├──expire()────────────────────────► ▲
 *      └──discard()───────────────────────► over: nothing to settle, and the handler never begins
 *
 * A message may be taken away at any time. A run that is abandoned because of that has nothing to settle; its handler,
 * if it has started, keeps its slot until it ends.
 */
export class HandlerRun {
  readonly delivery: Delivery;
  /** Its index among the runs under way. For {@link Runs} only. */
  place = 0;
  /** While its retry or dead letter is being stored. Never rejects. */
  storing: Promise<void> | undefined = undefined;
  #phase: 'decoding' | 'handling' | 'over' = 'decoding';
  /** Created on demand: most handlers never read the signal, and a controller costs more than they do. */
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

  /** Whether the message is no longer this run's to settle. */
  get abandoned(): boolean {
    return this.#abandoned;
  }

  get isDecoding(): boolean {
    return this.#phase === 'decoding';
  }

  /** Sets the time limit, and what to do before; once. */
  limit(deadline: number, warning: RunWarning | undefined): void {
    if (this.#deadline !== Number.POSITIVE_INFINITY || this.#warning !== undefined) return;
    this.#deadline = deadline;
    this.#warning = warning;
  }

  /** When something is due: the warning, and then the end of its time. */
  get nextDue(): number {
    return Math.min(this.#deadline, this.#warning?.at ?? Number.POSITIVE_INFINITY);
  }

  /** Whether its time is over. Emits the warning if that is due. */
  isDue(now: number): boolean {
    const warning = this.#warning;
    if (warning !== undefined && warning.at <= now) {
      this.#warning = undefined;
      if (!this.#abandoned) warning.emit();
    }
    return this.#deadline <= now;
  }

  /** The value is decoded. False if that comes too late. */
  begin(): boolean {
    if (this.#phase !== 'decoding') return false;
    this.#phase = 'handling';
    return true;
  }

  /** The outcome is known. False if that comes too late. */
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

  /** As `abandon`, before the handler has started: it never will. */
  discard(reason: Error): void {
    this.#phase = 'over';
    this.#clearLimit();
    this.abandon(reason);
  }

  /** Its time is over. */
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

/** What the error of a handler that took too long says. */
export function handlerTimeout(queue: string, { message }: Delivery, timeoutMs: number): QueueError {
  return new QueueError(
    'TIMEOUT',
    `message ${message.id} of '${queue}' was not handled within ${Math.ceil(timeoutMs)} ms (handlerTimeoutMs)`,
  );
}

/** The context of a run, as the handler sees it: public fields only, all of them its own, so that it can be spread. */
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

  /** The run that a handler of this process was handed this context for. */
  static runOf(context: HandlerContext): HandlerRun {
    return (context as Context).#run;
  }

  /** One function for all contexts: a closure for each would cost four times as much. */
  static readonly #signal: PropertyDescriptor & ThisType<Context> = {
    get() {
      return this.#run.signal;
    },
    enumerable: true,
  };
}

/**
 * The current runs, in no order. Each knows its index, so that joining and leaving takes constant time without a
 * hash table, which for so few that come and go so fast costs a tenth of what a message does.
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

  /** The run of a delivery, if it is under way. Searches all of them: only lost deliveries ask. */
  of(delivery: Delivery): HandlerRun | undefined {
    return this.#runs.find((run) => run.delivery === delivery);
  }

  /** A snapshot: runs may leave while it is read. */
  all(): HandlerRun[] {
    return [...this.#runs];
  }
}
