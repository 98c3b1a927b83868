import type { Backend, Delivery, Subscription, WaitOptions } from '../broker.js';
import { anyOf, CLOSE_LIMIT_MS, Deadlines, settledWithin } from '../common/limits.js';
import { checkOptionNames, durationOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import type { Queue } from '../queue.js';
import { Breaker } from './breaker.js';
import type {
  Consumer,
  ConsumerCounts,
  ConsumerState,
  Handler,
  StopOptions,
  StopResult,
} from './consumer.js';
import type { ConsumerSettings } from './consumer-options.js';
import { Draining } from './draining.js';
import { ExitGap } from './exit-gap.js';
import { HandlerRun, Runs } from './handler-run.js';
import type { Line } from './line.js';
import { makeLine } from './make-line.js';
import { OutcomeReport } from './outcome-report.js';
import { PausedWait } from './paused-wait.js';
import { decode, decodeInTime, expire, type ProcessSettings, process } from './process.js';
import { RetiredSubscriptions } from './retired-subscriptions.js';
import type { Outcome } from './settlement.js';

/** Where handlers run. */
export interface HandlerHost {
  /** Rejects with `INVALID_OPTION` if there is no handler, and as `within` does. */
  open(wait: WaitOptions): Promise<void>;
  /** No handler begins any more: those that wait for others to begin go on without them. */
  drain(): void;
  /** Ends what the handlers run in. Never rejects. */
  close(): Promise<void>;
}

/**
 *   idle ──start──► starting ──subscribed──► running ──stop──► stopping ──drained or deadline──► stopped
 *                      ▲──resume── paused ◄──pause──┘   (and from `paused` as from `running`)
 *     └───────stop──────┴──(can't subscribe)──────┴──(subscription ended)─────────────────────────▲
 */
export class QueueConsumer<Out> implements Consumer {
  readonly #broker: Backend;
  readonly #queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>;
  readonly #settings: ProcessSettings<Out>;
  readonly #concurrency: number;
  /** How many handlers may run at present: the concurrency, or 1 while the breaker tries. */
  #slots: number;
  readonly #prefetch: number;
  readonly #priority: number | undefined;
  readonly #host: HandlerHost;
  /** Arrived, and its handler has not started; at most `prefetch`. */
  readonly #line: Line;

  readonly #report: OutcomeReport;
  #state: ConsumerState = 'idle';
  #subscription: Subscription | undefined;
  #keepsAlive = true;
  readonly #exitGap = new ExitGap(() => this.#runNext());
  #starting: Promise<void> | undefined;
  /** Lets `stop` end a `start` that still waits for the broker. */
  readonly #startAborted = new AbortController();
  #stopping: Promise<StopResult> | undefined;
  /** At its deadline `stop` closes the subscription. */
  #isClosing = false;
  #unfinished = 0;
  /** Being decoded, handled or settled; at most `concurrency`. */
  readonly #running = new Runs();
  readonly #deadlines = new Deadlines((now) => this.#expire(now));
  readonly #draining = new Draining();
  readonly #breaker: Breaker | undefined;
  /** Who wants the consumer to be paused, and for how many milliseconds. */
  readonly #pausedBy = new Map<'call' | 'breaker', number | undefined>();
  readonly #retired = new RetiredSubscriptions();
  /** The last pause, while what was prefetched goes back. Never rejects. */
  #interruption: Promise<void> | undefined;
  readonly #pausedWait = new PausedWait(() => this.#broker.state === 'closed' && void this.stop());

  readonly #ended: Promise<void>;
  #resolveEnded!: () => void;
  #rejectEnded!: (error: Error) => void;
  #isEndedRead = false;

  constructor(
    broker: Backend,
    queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
    { handler, tracked }: { readonly handler: Handler<Out>; readonly tracked: Handler<Out> },
    {
      concurrency,
      prefetch,
      priority,
      key,
      maxPerKey,
      rate,
      breaker,
      emit,
      ...settings
    }: ConsumerSettings<Out>,
    host: HandlerHost,
  ) {
    this.#host = host;
    this.#broker = broker;
    this.#queue = queue;
    this.#concurrency = concurrency;
    this.#slots = concurrency;
    this.#prefetch = prefetch;
    this.#priority = priority;
    this.#report = new OutcomeReport(queue.name, emit);
    const decodeNow: ProcessSettings<Out>['decode'] = ({ message }) =>
      decode(message, queue, broker.maxMessageBytes);
    const { line, decoded } = makeLine<Out>(
      { key, maxPerKey, rate },
      {
        decodeAhead: (delivery, isWanted) =>
          decodeInTime(delivery, decodeNow(delivery), this.#settings, isWanted),
        onReady: () => this.#runNext(),
        onTooLong: (delivery) => this.#release(delivery),
      },
    );
    this.#line = line;
    this.#breaker =
      breaker &&
      new Breaker(breaker, {
        open: (pauseMs) => void this.#pause('breaker', pauseMs),
        halfOpen: () => this.#tryOne(),
        closed: () => this.#useAllSlots(),
      });
    this.#settings = {
      ...settings,
      broker,
      queue: queue.name,
      onExpired: queue.spec.onExpired,
      handler,
      tracked,
      decode: decoded ?? decodeNow,
      report: this.#report,
      watch: this.#breaker && ((outcome) => this.#watch(outcome)),
      mayBegin: () => this.#takesMessages,
      onWaiting: (run) => this.#deadlines.add(run.nextDue),
      onSettleFailed: (run, error) => this.#settleFailed(run, error),
      onDone: (run) => this.#leave(run),
    };
    this.#ended = new Promise((resolve, reject) => {
      this.#resolveEnded = resolve;
      this.#rejectEnded = reject;
    });
    this.#ended.catch(() => {});
  }

  get state(): ConsumerState {
    return this.#state;
  }

  get counts(): ConsumerCounts {
    return this.#report.counts;
  }

  get ended(): Promise<void> {
    this.#isEndedRead = true;
    return this.#ended;
  }

  async start(options: WaitOptions = {}): Promise<void> {
    checkOptionNames('start', options, ['signal', 'timeoutMs']);
    const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: 30_000 });
    if (this.#state !== 'idle') {
      throw new QueueError(
        'CLOSED',
        `the consumer of '${this.#queue.name}' was started before and is ${this.#state}; create another one with createConsumer`,
      );
    }
    this.#state = 'starting';
    const stopped = this.#startAborted.signal;
    const { signal, release } = anyOf(options.signal ? [stopped, options.signal] : [stopped]);
    this.#starting = this.#subscribe({ signal, timeoutMs }, 'idle');
    try {
      await this.#starting;
    } catch (error) {
      if (stopped.aborted) throw this.#stoppedBeforeStart();
      // A backend may hand over messages before it fails.
      for (const { delivery } of this.#running.all()) this.#lose(delivery, error as Error);
      for (const delivery of this.#line.clear()) this.#report.lost(delivery, error as Error);
      await this.#host.close();
      this.#finish();
      throw error;
    } finally {
      release();
    }
  }

  async #subscribe(wait: WaitOptions, from: 'idle' | 'paused'): Promise<void> {
    await this.#host.open(wait);
    await this.#broker.declare(this.#queue.spec, wait);
    const subscription = await this.#broker.subscribe(
      this.#queue.name,
      {
        ...wait,
        prefetch: this.#prefetch,
        concurrency: this.#concurrency,
        priority: this.#priority,
        exactDelaysMs: this.#settings.retries.exactDelaysMs,
        onLost: (delivery, reason) => this.#lose(delivery, reason),
      },
      (delivery) => this.#accept(delivery),
    );
    this.#subscription = subscription;
    if (!this.#keepsAlive) subscription.unref();
    // Then `stop` waits for this, and returns what was handed over already.
    if (this.#state !== 'starting') throw this.#stoppedBeforeStart();
    this.#state = 'running';
    if (from === 'paused') {
      this.#pausedWait.end();
      this.#report.resumed();
    }
    if (this.#pausedBy.size > 0) this.#beginPause();
    subscription.ended.then(
      () => {
        if (this.#subscription === subscription) this.stop();
      },
      (error) => {
        if (this.#subscription === subscription) this.#fail(error);
      },
    );
  }

  async pause(): Promise<void> {
    this.#checkStarted('paused');
    const pausing = this.#pause('call', undefined);
    // Then it pauses as soon as it has begun.
    if (this.#state === 'starting') await this.#starting?.catch(() => {});
    await pausing;
    await this.#interruption;
  }

  async resume(options: WaitOptions = {}): Promise<void> {
    checkOptionNames('resume', options, ['signal', 'timeoutMs']);
    const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: 30_000 });
    this.#checkStarted('resumed');
    this.#pausedBy.clear();
    this.#breaker?.reset();
    await this.#resume({ signal: options.signal, timeoutMs });
  }

  #checkStarted(participle: string): void {
    if (this.#state === 'starting' || this.#state === 'running' || this.#state === 'paused') return;
    throw new QueueError(
      'CLOSED',
      `the consumer of '${this.#queue.name}' is ${this.#state}; only one that was started can be ${participle}`,
    );
  }

  async #pause(by: 'call' | 'breaker', forMs: number | undefined): Promise<void> {
    this.#pausedBy.set(by, forMs);
    if (this.#state === 'running') this.#beginPause();
    await this.#interruption;
  }

  #beginPause(): void {
    this.#state = 'paused';
    this.#report.paused(this.#pausedBy.has('call') ? undefined : this.#pausedBy.get('breaker'));
    this.#pausedWait.begin(this.#keepsAlive);
    this.#interruption = this.#interrupt();
  }

  /** Returns what has not begun. Never rejects. */
  async #interrupt(): Promise<void> {
    const subscription = this.#subscription;
    this.#subscription = undefined;
    const cancelled = subscription?.cancel();
    this.#releaseUnbegun();
    this.#host.drain();
    await cancelled;
    if (subscription !== undefined) this.#retired.add(subscription, this.#running.all());
  }

  /** Rejects as `start` does. */
  async #resume({ signal: own, timeoutMs }: WaitOptions): Promise<void> {
    await this.#interruption;
    if (this.#state === 'starting') return this.#starting;
    if (this.#state !== 'paused' || this.#pausedBy.size > 0) return;
    this.#state = 'starting';
    const stopped = this.#startAborted.signal;
    const { signal, release } = anyOf(own ? [stopped, own] : [stopped]);
    this.#starting = this.#subscribe({ signal, timeoutMs }, 'paused');
    try {
      await this.#starting;
    } catch (error) {
      if (stopped.aborted) throw this.#stoppedBeforeStart();
      if (this.#state === 'starting') this.#state = 'paused';
      for (const delivery of this.#line.clear()) this.#report.lost(delivery, error as Error);
      throw error;
    } finally {
      release();
    }
  }

  /** After the breaker's pause. */
  #tryOne(): void {
    this.#pausedBy.delete('breaker');
    this.#slots = 1;
    this.#resume({ timeoutMs: Number.POSITIVE_INFINITY }).catch((error) => {
      if (!this.#startAborted.signal.aborted) this.#fail(error);
    });
  }

  #useAllSlots(): void {
    this.#slots = this.#concurrency;
    this.#runNext();
  }

  #watch({ type }: Outcome): void {
    if (type === 'handled' || type === 'failed') this.#breaker?.note(type === 'failed');
  }

  #stoppedBeforeStart(): QueueError {
    return new QueueError(
      'CLOSED',
      `the consumer of '${this.#queue.name}' was stopped before it had started`,
    );
  }

  unref(): void {
    this.#keepsAlive = false;
    this.#pausedWait.unref();
    this.#subscription?.unref();
  }

  ref(): void {
    this.#keepsAlive = true;
    this.#exitGap.idle();
    this.#pausedWait.ref();
    this.#subscription?.ref();
    this.#runNext();
  }

  get #takesMessages(): boolean {
    return (this.#state === 'starting' || this.#state === 'running') && this.#pausedBy.size === 0;
  }

  #accept(delivery: Delivery): void {
    this.#report.arrived(delivery);
    if (this.#takesMessages) {
      this.#line.add(delivery);
      this.#runNext();
    } else {
      this.#release(delivery);
    }
  }

  #runNext(): void {
    while (this.#takesMessages && this.#running.size < this.#slots) {
      if (!this.#keepsAlive && this.#exitGap.isDue(this.#running.size)) return;
      const delivery = this.#line.take();
      if (delivery === undefined) {
        if (!this.#keepsAlive && this.#running.size === 0) this.#exitGap.idle();
        return;
      }
      const run = new HandlerRun(delivery);
      this.#running.add(run);
      void process(run, this.#settings);
    }
  }

  #leave(run: HandlerRun): void {
    this.#running.remove(run);
    this.#line.done(run.delivery);
    if (this.#retired.open.size > 0) this.#retired.leave(run);
    this.#runNext();
    if (this.#state === 'stopping' && this.#running.size === 0) this.#draining.onIdle();
  }

  /** Ends the runs whose time is over, and returns when to check again. */
  #expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const run of this.#running.all()) {
      if (run.isDue(now)) void expire(run, this.#settings);
      else next = Math.min(next, run.nextDue);
    }
    return next;
  }

  #lose(delivery: Delivery, error: Error): void {
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
  }

  stop(options: StopOptions = {}): Promise<StopResult> {
    checkOptionNames('stop', options, ['deadlineMs']);
    const deadlineMs = durationOption('deadlineMs', options.deadlineMs, { infinity: true, default: 30_000 });
    this.#draining.bringForward(deadlineMs);
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<StopResult> {
    this.#state = 'stopping';
    this.#startAborted.abort();
    // `start` reports its error.
    await this.#starting?.catch(() => {});
    this.#breaker?.stop();
    const cancelled = this.#subscription?.cancel();
    this.#releaseUnbegun();
    this.#host.drain();
    await Promise.all([cancelled, this.#interruption]);
    this.#pausedWait.end();
    if (this.#running.size > 0) await this.#draining.wait();
    this.#draining.end();
    await this.#close();
    await this.#host.close();
    this.#finish();
    return { unfinished: this.#unfinished };
  }

  #releaseUnbegun(): void {
    for (const run of this.#running.all()) {
      if (!run.isDecoding) continue;
      run.discard(this.#stopped());
      this.#release(run.delivery);
      this.#leave(run);
    }
    for (const delivery of this.#line.clear()) this.#release(delivery);
  }

  /** Returns to the queue what is unsettled at the deadline. */
  async #close(): Promise<void> {
    this.#isClosing = true;
    for (const run of this.#running.all()) if (run.storing === undefined) this.#leaveUnfinished(run);
    await Promise.all([this.#subscription?.close(), this.#retired.close()]);
    // What was being stored has been, or is in its queue again.
    await settledWithin(Promise.all(this.#running.all().map(({ storing }) => storing)), CLOSE_LIMIT_MS);
    for (const run of this.#running.all()) if (!run.abandoned) this.#leaveUnfinished(run);
  }

  #leaveUnfinished(run: HandlerRun): void {
    this.#unfinished++;
    // Already reported as lost.
    if (run.abandoned) return;
    run.abandon(this.#stopped());
    this.#report.released(run.delivery);
  }

  #stopped(): QueueError {
    return new QueueError('CLOSED', `the consumer of '${this.#queue.name}' was stopped`);
  }

  #release(delivery: Delivery): void {
    delivery.release();
    this.#report.released(delivery);
  }

  #settleFailed(run: HandlerRun, error: Error): void {
    if (this.#isClosing) this.#leaveUnfinished(run);
    else this.#report.settleFailed(run.delivery, error);
  }

  #fail(error: Error): void {
    this.#report.ended(error, this.#isEndedRead);
    this.#rejectEnded(error);
    this.stop();
  }

  #finish(): void {
    this.#state = 'stopped';
    this.#deadlines.stop();
    this.#resolveEnded();
  }
}
