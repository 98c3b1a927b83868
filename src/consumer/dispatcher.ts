import type { Backend, Delivery, QueueSubscription } from '../broker.js';
import { CLOSE_LIMIT_MS, Deadlines, settledWithin } from '../common/waiting/waiting.js';
import { QueueError } from '../errors.js';
import type { Queue } from '../queue.js';
import type { Handler } from './consumer.js';
import type { ConsumerSettings } from './consumer-options.js';
import { decode, decodeInTime, expire, type HandlingSettings, handleMessage } from './handle-message.js';
import { HandlerRun, Runs } from './handler-run.js';
import type { OutcomeReport } from './outcome-report.js';
import { ExitGap } from './pace/exit-gap.js';
import type { Line } from './pace/line.js';
import { makeLine } from './pace/make-line.js';
import { takeStartsOf } from './pace/shared-rate-window.js';
import { RetiredSubscriptions } from './retired-subscriptions.js';
import type { Outcome } from './settlement.js';

/** A handler, and its variant for the time in which `handlerTracking` is on. */
export interface Handlers<Out> {
  readonly handler: Handler<Out>;
  readonly tracked: Handler<Out>;
  /** As in `HandlingSettings`. */
  readonly isBatched?: boolean | undefined;
}

interface DispatcherOwner {
  readonly report: OutcomeReport;
  /** As in `HandlingSettings`. */
  readonly watch: ((outcome: Outcome) => void) | undefined;
  /** No handler is running, and none will start. */
  readonly onIdle: () => void;
}

/**
 * The messages that a consumer holds, from their arrival in a line, through a run of the handler, to their outcome.
 *
 *   closed ──isOpen──► handlers begin ──► closed: what runs goes on ──abandon(), close()──► nothing is held
 */
export class Dispatcher<Out> {
  readonly #queue: string;
  readonly #settings: HandlingSettings<Out>;
  /** How many handlers may run now: the concurrency, or 1 while the breaker tries. */
  #slots: number;
  readonly #retired = new RetiredSubscriptions();
  readonly #owner: DispatcherOwner;
  readonly #report: OutcomeReport;
  /** Deliveries whose handler has not started; at most `prefetch`. */
  readonly #line: Line;
  /** Being decoded, handled or settled; at most `concurrency`. */
  readonly #running = new Runs();
  readonly #deadlines = new Deadlines((now) => this.#expire(now));
  readonly #exitGap = new ExitGap(() => this.#runNext());
  #isOpen = false;
  /** Whether messages that arrive meanwhile are kept: a subscription that is being opened would deliver them again at once. */
  keepsArrivals = false;
  #keepsAlive = true;
  #isAbandoned = false;
  #unfinished = 0;

  constructor(
    broker: Backend,
    queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
    handlers: Handlers<Out>,
    { concurrency, key, maxPerKey, rate, ...settings }: ConsumerSettings<Out>,
    owner: DispatcherOwner,
  ) {
    this.#queue = queue.name;
    this.#slots = concurrency;
    this.#owner = owner;
    this.#report = owner.report;
    const decodeNow: HandlingSettings<Out>['decode'] = ({ message }) =>
      decode(message, queue, broker.maxMessageBytes);
    const { line, decoded } = makeLine<Out>(
      { key, maxPerKey, rate },
      {
        decodeAhead: (delivery, isWanted) =>
          decodeInTime(delivery, decodeNow(delivery), this.#settings, isWanted),
        onReady: () => this.#runNext(),
        onTooLong: (delivery) => this.#release(delivery),
        takeStarts: rate?.per === 'queue' ? takeStartsOf(broker, queue.name) : undefined,
      },
    );
    this.#line = line;
    this.#settings = {
      ...settings,
      ...handlers,
      broker,
      queue: queue.name,
      onExpired: queue.spec.onExpired,
      decode: decoded ?? decodeNow,
      report: this.#report,
      watch: owner.watch,
      mayBegin: () => this.isOpen,
      onWaiting: (run) => this.#deadlines.add(run.nextDue),
      onSettleFailed: (run, error) => this.#settleFailed(run, error),
      onDone: (run) => this.#leave(run),
    };
  }

  /** Whether handlers may start. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  set isOpen(isOpen: boolean) {
    const opens = isOpen && !this.#isOpen;
    this.#isOpen = isOpen;
    // Messages that arrived while it was closed may have been kept.
    if (opens) this.#runNext();
  }

  /** Whether messages are being handled or settled. */
  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  useSlots(slots: number): void {
    this.#slots = slots;
    this.#runNext();
  }

  /** Leaves gaps between handlers from now on, in which a finished program can exit. */
  unref(): void {
    this.#keepsAlive = false;
  }

  ref(): void {
    this.#keepsAlive = true;
    this.#exitGap.idle();
    this.#runNext();
  }

  /** Accepts a delivery, or returns it to the queue if no handler will start. */
  readonly accept = (delivery: Delivery): void => {
    this.#report.arrived(delivery);
    if (this.isOpen || this.keepsArrivals) {
      this.#line.add(delivery);
      this.#runNext();
    } else {
      this.#release(delivery);
    }
  };

  /** The broker has taken a message away. */
  readonly lose = (delivery: Delivery, error: Error): void => {
    const run = this.#running.of(delivery);
    if (run?.abandoned) return;
    this.#report.lost(delivery, error);
    if (run === undefined) {
      this.#line.remove(delivery);
      this.#runNext();
    } else if (run.isDecoding) {
      run.discard(error);
      this.#leave(run);
    } else {
      run.abandon(error);
    }
  };

  /** The broker has taken all messages away. */
  loseAll(error: Error): void {
    for (const { delivery } of this.#running.all()) this.lose(delivery, error);
    this.loseUnbegun(error);
  }

  /** The broker has taken away all messages whose handler has not started. */
  loseUnbegun(error: Error): void {
    for (const delivery of this.#line.clear()) this.#report.lost(delivery, error);
  }

  /** Returns to the queue every message whose handler has not started. */
  releaseUnbegun(): void {
    for (const run of this.#running.all()) {
      if (!run.isDecoding) continue;
      run.discard(this.#stopped());
      this.#release(run.delivery);
      this.#leave(run);
    }
    for (const delivery of this.#line.clear()) this.#release(delivery);
  }

  /** Keeps a cancelled subscription, to which unsettled messages belong, until the last of the running handlers has ended. */
  retire(subscription: QueueSubscription): void {
    this.#retired.add(subscription, this.#running.all());
  }

  closeRetired(): Promise<void> {
    return this.#retired.close();
  }

  /** Gives up messages that are being handled. They return to the queue when the subscription is closed. */
  abandon(): void {
    this.#isAbandoned = true;
    for (const run of this.#running.all()) if (run.storing === undefined) this.#leaveUnfinished(run);
  }

  /** After the end of the subscription. Resolves with the number of messages that were given up. */
  async close(): Promise<number> {
    // By now each message that was being stored is stored, or is back in its queue.
    await settledWithin(Promise.all(this.#running.all().map(({ storing }) => storing)), CLOSE_LIMIT_MS);
    for (const run of this.#running.all()) if (!run.abandoned) this.#leaveUnfinished(run);
    return this.#unfinished;
  }

  /** Called when no message is held any more. */
  end(): void {
    this.isOpen = false;
    this.#deadlines.stop();
  }

  #runNext(): void {
    while (this.isOpen && this.#running.size < this.#slots) {
      if (!this.#keepsAlive && this.#exitGap.enterIfDue(this.#running.size)) return;
      const delivery = this.#line.take();
      if (delivery === undefined) {
        if (!this.#keepsAlive && this.#running.size === 0) this.#exitGap.idle();
        return;
      }
      const run = new HandlerRun(delivery);
      this.#running.add(run);
      void handleMessage(run, this.#settings);
    }
  }

  #leave(run: HandlerRun): void {
    this.#running.remove(run);
    this.#line.done(run.delivery);
    if (this.#retired.open.size > 0) this.#retired.leave(run);
    this.#runNext();
    if (!this.isOpen && this.#running.size === 0) this.#owner.onIdle();
  }

  /** Warns of slow runs, ends those that have timed out, and returns when to check again. */
  #expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const run of this.#running.all()) {
      run.warnIfDue(now);
      if (run.isOverdue(now)) void expire(run, this.#settings);
      else next = Math.min(next, run.nextDue);
    }
    return next;
  }

  #settleFailed(run: HandlerRun, error: Error): void {
    if (this.#isAbandoned) this.#leaveUnfinished(run);
    else this.#report.settleFailed(run.delivery, error);
  }

  #leaveUnfinished(run: HandlerRun): void {
    this.#unfinished++;
    // Already reported as lost.
    if (run.abandoned) return;
    run.abandon(this.#stopped());
    this.#report.released(run.delivery);
  }

  #release(delivery: Delivery): void {
    delivery.release();
    this.#report.released(delivery);
  }

  #stopped(): QueueError {
    return new QueueError('CLOSED', `the consumer of '${this.#queue}' was stopped`);
  }
}
