import type { Backend, WaitOptions } from '../broker.js';
import { anyOf, Deferred } from '../common/waiting/waiting.js';
import { QueueError } from '../errors.js';
import type { Queue } from '../queue.js';
import type { Consumer, ConsumerCounts, ConsumerState, StopOptions, StopResult } from './consumer.js';
import { type ConsumerSettings, startLimits, stopDeadlineMs } from './consumer-options.js';
import { CurrentSubscription } from './current-subscription.js';
import { Dispatcher, type Handlers } from './dispatcher.js';
import { Draining } from './draining.js';
import type { HandlerHost } from './handler-threads.js';
import { OutcomeReport } from './outcome-report.js';
import { Breaker } from './pace/breaker.js';
import { ConsumerPause } from './pace/consumer-pause.js';

/**
 * A consumer: it opens, renews and ends its subscription, and decides when its dispatcher may start handlers.
 *
 *   idle ──start──► starting ──subscribed──► running ──stop──► stopping ──drained or deadline──► stopped
 *                      ▲──resume── paused ◄──pause──┘   (and from `paused` as from `running`)
 *     └───────stop──────┴──(can't subscribe)──────┴──(subscription ended)─────────────────────────▲
 *
 * A running consumer whose prefetch has to change is `starting` until the next subscription has taken the place of the
 * last. A resumed one that can't subscribe is `paused` again.
 */
export class RunningConsumer<Out> implements Consumer {
  readonly #broker: Backend;
  readonly queue: string;
  error: Error | undefined;
  readonly #settings: ConsumerSettings<Out>;
  readonly #host: HandlerHost;
  readonly #report: OutcomeReport;
  readonly #dispatcher: Dispatcher<Out>;
  #state: ConsumerState = 'idle';
  readonly #subscription: CurrentSubscription<Out>;
  #starting: Promise<void> | undefined;
  /** Lets `stop` end a pending `start`. */
  readonly #startAborted = new AbortController();
  #stopping: Promise<StopResult> | undefined;
  readonly #draining = new Draining();
  readonly #breaker: Breaker | undefined;
  readonly #pausing = new ConsumerPause(() => this.#broker.state === 'closed' && void this.stop());
  /** The last pause, until all prefetched messages are returned. Never rejects. */
  #interruption: Promise<void> | undefined;
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
    this.#subscription = new CurrentSubscription(broker, queue, settings, this.#dispatcher);
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
    const wait = startLimits('start', options);
    if (this.#state !== 'idle') {
      throw this.#closed(`was started before and is ${this.#state}; create another one with createConsumer`);
    }
    await this.#begin('idle', wait, async (error) => {
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
      if (stopped.aborted) throw this.#closed('was stopped before it had started');
      await onFailed(error as Error);
      throw error;
    } finally {
      release();
    }
  }

  async #subscribe(wait: WaitOptions, from: 'idle' | 'paused' | 'running'): Promise<void> {
    await this.#host.open(wait);
    await this.#subscription.open(this.#prefetch, wait);
    // `stop` waits for this, and returns the messages that have arrived already.
    if (this.#state !== 'starting') throw this.#closed('was stopped before it had started');
    this.#become('running');
    if (from === 'paused') {
      this.#pausing.endWait();
      this.#report.resumed();
    }
    if (this.#pausing.hasCause) this.#beginPause();
    else this.#adjustPrefetch();
    this.#subscription.onEnded(
      () => void this.stop(),
      (error) => this.#fail(error),
    );
  }

  /** While the breaker tries one message, others stay in the queue: they would be returned again and again. */
  get #prefetch(): number {
    return this.#breaker?.isHalfOpen ? 1 : this.#settings.prefetch;
  }

  /** The prefetch of a subscription can't be changed, so another one takes its place. */
  #adjustPrefetch(): void {
    if (this.#state !== 'running' || this.#subscription.prefetch === this.#prefetch) return;
    this.#become('starting');
    this.#interruption = this.#subscription.retire(() => this.#drain());
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
    const wait = startLimits('resume', options);
    this.#checkStarted('resumed');
    this.#pausing.clear();
    this.#become(this.#state);
    this.#breaker?.reset();
    await this.#resume(wait);
  }

  #checkStarted(participle: string): void {
    if (this.#state === 'starting' || this.#state === 'running' || this.#state === 'paused') return;
    throw this.#closed(`is ${this.#state}; only a started consumer can be ${participle}`);
  }

  async #pause(by: 'call' | 'breaker', forMs: number | undefined): Promise<void> {
    this.#pausing.add(by, forMs);
    this.#become(this.#state);
    if (this.#state === 'running') this.#beginPause();
    await this.#interruption;
  }

  #beginPause(): void {
    this.#become('paused');
    this.#report.paused(this.#pausing.forMs);
    this.#pausing.beginWait(this.#subscription.keepsAlive);
    this.#interruption = this.#subscription.retire(() => this.#drain());
  }

  /** Returns messages whose handler has not started. */
  #drain(): void {
    this.#dispatcher.releaseUnbegun();
    this.#host.drain();
  }

  /** Rejects as `start` does. */
  async #resume(wait: WaitOptions): Promise<void> {
    await this.#interruption;
    if (this.#state === 'starting') return this.#starting;
    if (this.#state !== 'paused' || this.#pausing.hasCause) return;
    await this.#begin('paused', wait, (error) => {
      if (this.#state === 'starting') this.#become('paused');
      this.#dispatcher.loseUnbegun(error);
    });
  }

  /** Called after the breaker's pause. */
  #tryOne(): void {
    this.#pausing.remove('breaker');
    this.#dispatcher.useSlots(1);
    this.#become(this.#state);
    this.#resume({ timeoutMs: Number.POSITIVE_INFINITY }).catch((error) => this.#notRenewed(error));
  }

  /** The breaker can't subscribe again. */
  #notRenewed(error: Error): void {
    if (this.#startAborted.signal.aborted) return;
    if (this.#broker.state === 'closed') void this.stop();
    else this.#fail(error);
  }

  #closed(why: string): QueueError {
    return new QueueError('CLOSED', `the consumer of '${this.queue}' ${why}`);
  }

  unref(): void {
    this.#dispatcher.unref();
    this.#pausing.unref();
    this.#subscription.unref();
  }

  ref(): void {
    this.#pausing.ref();
    this.#subscription.ref();
    this.#dispatcher.ref();
  }

  /** Handlers may start while the consumer runs and is not paused. */
  #become(state: ConsumerState): void {
    this.#state = state;
    this.#dispatcher.isOpen = (state === 'starting' || state === 'running') && !this.#pausing.hasCause;
    this.#dispatcher.keepsArrivals = state === 'starting';
  }

  stop(options: StopOptions = {}): Promise<StopResult> {
    this.#draining.bringForward(stopDeadlineMs(options));
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
    const cancelled = this.#subscription.cancel();
    this.#drain();
    await Promise.all([cancelled, this.#interruption]);
    this.#pausing.endWait();
    if (this.#dispatcher.isBusy) await this.#draining.wait();
    this.#draining.end();
    // Messages that are unsettled at the deadline return to the queue.
    this.#dispatcher.abandon();
    await Promise.all([this.#subscription.close(), this.#dispatcher.closeRetired()]);
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
