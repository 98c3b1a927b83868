import type { Backend, Subscription, WaitOptions } from '../broker.js';
import { anyOf, Deferred } from '../common/limits.js';
import { checkOptionNames, durationOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import type { Queue } from '../queue.js';
import type { Consumer, ConsumerCounts, ConsumerState, StopOptions, StopResult } from './consumer.js';
import type { ConsumerSettings } from './consumer-options.js';
import { Dispatcher, type Handlers } from './dispatcher.js';
import { Draining } from './draining.js';
import type { HandlerHost } from './handler-threads.js';
import { OutcomeReport } from './outcome-report.js';
import { Breaker } from './pace/breaker.js';
import { PausedWait } from './pace/paused-wait.js';

/**
 *   idle ──start──► starting ──subscribed──► running ──stop──► stopping ──drained or deadline──► stopped
 *                      ▲──resume── paused ◄──pause──┘   (and from `paused` as from `running`)
 *     └───────stop──────┴──(can't subscribe)──────┴──(subscription ended)─────────────────────────▲
 */
export class QueueConsumer<Out> implements Consumer {
  readonly #broker: Backend;
  readonly queue: string;
  error: Error | undefined;
  readonly #queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>;
  readonly #settings: ConsumerSettings<Out>;
  readonly #host: HandlerHost;
  readonly #report: OutcomeReport;
  readonly #dispatcher: Dispatcher<Out>;
  #state: ConsumerState = 'idle';
  #subscription: Subscription | undefined;
  #keepsAlive = true;
  #starting: Promise<void> | undefined;
  /** Lets `stop` end a pending `start`. */
  readonly #startAborted = new AbortController();
  #stopping: Promise<StopResult> | undefined;
  readonly #draining = new Draining();
  readonly #breaker: Breaker | undefined;
  /** What paused the consumer, and for how many milliseconds. */
  readonly #pausedBy = new Map<'call' | 'breaker', number | undefined>();
  /** Of the subscription. */
  #subscribedPrefetch = 0;
  /** The last pause, until all prefetched messages are returned. Never rejects. */
  #interruption: Promise<void> | undefined;
  readonly #pausedWait = new PausedWait(() => this.#broker.state === 'closed' && void this.stop());

  readonly #ended = new Deferred();
  #isEndedRead = false;

  constructor(
    broker: Backend,
    queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
    handlers: Handlers<Out>,
    settings: ConsumerSettings<Out>,
    host: HandlerHost,
  ) {
    this.#host = host;
    this.#broker = broker;
    this.#queue = queue;
    this.queue = queue.name;
    this.#settings = settings;
    this.#report = new OutcomeReport(broker, queue.spec, settings.emit);
    this.#breaker =
      settings.breaker &&
      new Breaker(settings.breaker, {
        open: (pauseMs) => void this.#pause('breaker', pauseMs),
        halfOpen: () => this.#tryOne(),
        closed: () => {
          this.#dispatcher.useSlots(settings.concurrency);
          this.#adjustPrefetch();
        },
      });
    this.#dispatcher = new Dispatcher(broker, queue, handlers, settings, {
      report: this.#report,
      watch: this.#breaker?.watch,
      onIdle: () => this.#draining.onIdle(),
    });
    this.#ended.promise.catch(() => {});
  }

  get state(): ConsumerState {
    return this.#state;
  }

  get counts(): ConsumerCounts {
    return this.#report.counts;
  }

  get ended(): Promise<void> {
    this.#isEndedRead = true;
    return this.#ended.promise;
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
    await this.#begin('idle', { signal: options.signal, timeoutMs }, async (error) => {
      // A backend may hand over messages before it fails.
      this.#dispatcher.loseAll(error);
      await this.#host.close();
      this.#finish();
    });
  }

  /** Subscribes, unless `stop` comes first. */
  async #begin(
    from: 'idle' | 'paused' | 'running',
    { signal: own, timeoutMs }: WaitOptions,
    onFailed: (error: Error) => void | Promise<void>,
  ): Promise<void> {
    this.#become('starting');
    const stopped = this.#startAborted.signal;
    const { signal, release } = anyOf(own ? [stopped, own] : [stopped]);
    this.#starting = this.#subscribe({ signal, timeoutMs }, from);
    try {
      await this.#starting;
    } catch (error) {
      if (stopped.aborted) throw this.#stoppedBeforeStart();
      await onFailed(error as Error);
      throw error;
    } finally {
      release();
    }
  }

  async #subscribe(wait: WaitOptions, from: 'idle' | 'paused' | 'running'): Promise<void> {
    const { concurrency, priority, retries } = this.#settings;
    const prefetch = this.#prefetch;
    await this.#host.open(wait);
    await this.#broker.declare(this.#queue.spec, wait);
    const subscription = await this.#broker.subscribe(
      this.#queue.name,
      {
        ...wait,
        prefetch,
        concurrency,
        priority,
        exactDelaysMs: retries.exactDelaysMs,
        onLost: this.#dispatcher.lose,
      },
      this.#dispatcher.accept,
    );
    this.#subscription = subscription;
    this.#subscribedPrefetch = prefetch;
    if (!this.#keepsAlive) subscription.unref();
    // `stop` waits for this, and returns the messages that have arrived already.
    if (this.#state !== 'starting') throw this.#stoppedBeforeStart();
    this.#become('running');
    if (from === 'paused') {
      this.#pausedWait.end();
      this.#report.resumed();
    }
    if (this.#pausedBy.size > 0) this.#beginPause();
    else this.#adjustPrefetch();
    const unlessRetired = (end: () => unknown) => {
      if (this.#subscription === subscription) end();
    };
    subscription.ended.then(
      () => unlessRetired(() => this.stop()),
      (error) => unlessRetired(() => this.#fail(error)),
    );
  }

  /** While the breaker tries one message, others stay in the queue: they would go back again and again. */
  get #prefetch(): number {
    return this.#breaker?.isHalfOpen ? 1 : this.#settings.prefetch;
  }

  /** The prefetch of a subscription can't be changed, so another one takes its place. */
  #adjustPrefetch(): void {
    if (this.#state !== 'running' || this.#subscribedPrefetch === this.#prefetch) return;
    this.#become('starting');
    this.#interruption = this.#interrupt();
    const renewing = this.#interruption.then(() =>
      this.#state === 'starting'
        ? this.#begin('running', { timeoutMs: Number.POSITIVE_INFINITY }, () => {})
        : undefined,
    );
    this.#starting = renewing;
    renewing.catch((error) => this.#notRenewed(error));
  }

  async pause(): Promise<void> {
    this.#checkStarted('paused');
    const pausing = this.#pause('call', undefined);
    // A starting consumer pauses as soon as it is subscribed.
    if (this.#state === 'starting') await this.#starting?.catch(() => {});
    await pausing;
    await this.#interruption;
  }

  async resume(options: WaitOptions = {}): Promise<void> {
    checkOptionNames('resume', options, ['signal', 'timeoutMs']);
    const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: 30_000 });
    this.#checkStarted('resumed');
    this.#pausedBy.clear();
    this.#become(this.#state);
    this.#breaker?.reset();
    await this.#resume({ signal: options.signal, timeoutMs });
  }

  #checkStarted(participle: string): void {
    if (this.#state === 'starting' || this.#state === 'running' || this.#state === 'paused') return;
    const why = `is ${this.#state}; only one that was started can be ${participle}`;
    throw new QueueError('CLOSED', `the consumer of '${this.#queue.name}' ${why}`);
  }

  async #pause(by: 'call' | 'breaker', forMs: number | undefined): Promise<void> {
    this.#pausedBy.set(by, forMs);
    this.#become(this.#state);
    if (this.#state === 'running') this.#beginPause();
    await this.#interruption;
  }

  #beginPause(): void {
    this.#become('paused');
    this.#report.paused(this.#pausedBy.has('call') ? undefined : this.#pausedBy.get('breaker'));
    this.#pausedWait.begin(this.#keepsAlive);
    this.#interruption = this.#interrupt();
  }

  /** Returns messages whose handler has not started. Never rejects. */
  async #interrupt(): Promise<void> {
    const subscription = this.#subscription;
    this.#subscription = undefined;
    const cancelled = subscription?.cancel();
    this.#dispatcher.releaseUnbegun();
    this.#host.drain();
    await cancelled;
    if (subscription !== undefined) this.#dispatcher.retire(subscription);
  }

  /** Rejects as `start` does. */
  async #resume(wait: WaitOptions): Promise<void> {
    await this.#interruption;
    if (this.#state === 'starting') return this.#starting;
    if (this.#state !== 'paused' || this.#pausedBy.size > 0) return;
    await this.#begin('paused', wait, (error) => {
      if (this.#state === 'starting') this.#become('paused');
      this.#dispatcher.loseUnbegun(error);
    });
  }

  /** Called after the breaker's pause. */
  #tryOne(): void {
    this.#pausedBy.delete('breaker');
    this.#become(this.#state);
    this.#dispatcher.useSlots(1);
    this.#resume({ timeoutMs: Number.POSITIVE_INFINITY }).catch((error) => this.#notRenewed(error));
  }

  /** The breaker can't subscribe again. */
  #notRenewed(error: Error): void {
    if (this.#startAborted.signal.aborted) return;
    if (this.#broker.state === 'closed') void this.stop();
    else this.#fail(error);
  }

  #stoppedBeforeStart(): QueueError {
    const why = 'was stopped before it had started';
    return new QueueError('CLOSED', `the consumer of '${this.#queue.name}' ${why}`);
  }

  unref(): void {
    this.#keepsAlive = false;
    this.#dispatcher.unref();
    this.#pausedWait.unref();
    this.#subscription?.unref();
  }

  ref(): void {
    this.#keepsAlive = true;
    this.#pausedWait.ref();
    this.#subscription?.ref();
    this.#dispatcher.ref();
  }

  /** Handlers may begin while the consumer runs and nothing has paused it. */
  #become(state: ConsumerState): void {
    this.#state = state;
    this.#dispatcher.isOpen = (state === 'starting' || state === 'running') && this.#pausedBy.size === 0;
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
    this.#become('stopping');
    this.#startAborted.abort();
    // `start` reports its error.
    await this.#starting?.catch(() => {});
    this.#breaker?.stop();
    const cancelled = this.#subscription?.cancel();
    this.#dispatcher.releaseUnbegun();
    this.#host.drain();
    await Promise.all([cancelled, this.#interruption]);
    this.#pausedWait.end();
    if (this.#dispatcher.isBusy) await this.#draining.wait();
    this.#draining.end();
    // Messages that are unsettled at the deadline go back to the queue.
    this.#dispatcher.abandon();
    await Promise.all([this.#subscription?.close(), this.#dispatcher.closeRetired()]);
    const unfinished = await this.#dispatcher.close();
    await this.#host.close();
    this.#finish();
    return { unfinished };
  }

  #fail(error: Error): void {
    this.#report.ended(error, this.#isEndedRead);
    this.error = error;
    this.#ended.reject(error);
    this.stop();
  }

  #finish(): void {
    this.#become('stopped');
    this.#dispatcher.end();
    this.#report.end();
    this.#ended.resolve();
  }
}
