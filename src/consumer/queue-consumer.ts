import type { Broker, Delivery, Subscription, WaitOptions } from '../broker.js';
import { anyOf, Deadlines, Deferred } from '../common/limits.js';
import { checkOptionNames, durationOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import type { Queue } from '../queue.js';
import type { Consumer, ConsumerState, StopOptions, StopResult } from './consumer.js';
import type { ConsumerSettings } from './consumer-options.js';
import { type ConsumerCounts, noCounts } from './counts.js';
import { decode } from './decode.js';
import { Draining } from './draining.js';
import { ExitGap } from './exit-gap.js';
import { type Handler, HandlerRun } from './handler-run.js';
import { KeyedLine } from './keyed-line.js';
import { type Line, PlainLine } from './line.js';
import { deliveryInfo, expire, type ProcessSettings, process } from './process.js';
import { Runs } from './runs.js';

/**
 *   idle ──start──► starting ──subscribed──► running ──stop──► stopping ──drained or deadline──► stopped
 *     └───────stop──────┴──(can't subscribe)──────┴──(subscription ended)─────────────────────────▲
 */
export class QueueConsumer<Out> implements Consumer {
  readonly #broker: Broker;
  readonly #queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>;
  readonly #settings: ProcessSettings<Out>;
  readonly #concurrency: number;
  readonly #prefetch: number;
  /** Ends what the handler runs in. Never rejects. */
  readonly #closeHandler: () => Promise<void>;
  /** Handed over and not begun; at most `prefetch`. */
  readonly #line: Line;

  readonly #counts = noCounts();

  #state: ConsumerState = 'idle';
  #subscription: Subscription | undefined;
  #keepsAlive = true;
  readonly #exitGap = new ExitGap(() => this.#runNext());
  #starting: Promise<void> | undefined;
  /** Lets `stop` end a `start` that still waits for the broker. */
  readonly #startAborted = new AbortController();
  #stopping: Promise<StopResult> | undefined;
  /** Being handled or settled; at most `concurrency`. */
  readonly #running = new Runs();
  /** Of the handlers that are waited for. */
  readonly #deadlines = new Deadlines((now) => this.#expire(now));
  readonly #draining = new Draining();

  readonly #ended = new Deferred();

  constructor(
    broker: Broker,
    queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
    handler: Handler<Out>,
    { concurrency, prefetch, key, ...settings }: ConsumerSettings<Out>,
    closeHandler: () => Promise<void>,
  ) {
    this.#closeHandler = closeHandler;
    this.#broker = broker;
    this.#queue = queue;
    this.#concurrency = concurrency;
    this.#prefetch = prefetch;
    let decodeDelivery: ProcessSettings<Out>['decode'] = ({ message }) =>
      decode(message, queue, broker.maxMessageBytes);
    if (key === undefined) {
      this.#line = new PlainLine();
    } else {
      const line = new KeyedLine({ keyOf: key, decode: decodeDelivery, onReady: () => this.#runNext() });
      this.#line = line;
      decodeDelivery = (delivery) => line.decodedOf(delivery);
    }
    this.#settings = {
      ...settings,
      broker,
      queue: queue.name,
      handler,
      decode: decodeDelivery,
      counts: this.#counts,
      onWaiting: (run) => this.#deadlines.add(run.nextDue),
      onDone: (delivery, run) => this.#leave(delivery, run),
    };
    this.ended.catch(() => {});
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get state(): ConsumerState {
    return this.#state;
  }

  get counts(): ConsumerCounts {
    return { ...this.#counts };
  }

  async start(options: WaitOptions = {}): Promise<void> {
    checkOptionNames('start', options, ['signal', 'timeoutMs']);
    const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: 30_000 });
    if (this.#state !== 'idle') {
      throw new QueueError(
        'CLOSED',
        `the consumer of '${this.#queue.name}' was started before and is ${this.#state}; make another one with createConsumer`,
      );
    }
    this.#state = 'starting';
    const stopped = this.#startAborted.signal;
    const { signal, release } = anyOf(options.signal ? [stopped, options.signal] : [stopped]);
    this.#starting = this.#subscribe({ signal, timeoutMs });
    try {
      await this.#starting;
    } catch (error) {
      this.#finish();
      throw stopped.aborted ? this.#stoppedBeforeStart() : error;
    } finally {
      release();
    }
  }

  async #subscribe(wait: WaitOptions): Promise<void> {
    await this.#broker.declare(this.#queue.spec, wait);
    const subscription = await this.#broker.subscribe(
      this.#queue.name,
      { ...wait, prefetch: this.#prefetch, onLost: (delivery, reason) => this.#lose(delivery, reason) },
      (delivery) => this.#accept(delivery),
    );
    this.#subscription = subscription;
    if (!this.#keepsAlive) subscription.unref();
    // Then `stop` waits for this and sees to what was handed over already.
    if (this.#state !== 'starting') throw this.#stoppedBeforeStart();
    this.#state = 'running';
    subscription.ended.then(
      () => this.stop(),
      (error) => this.#fail(error),
    );
  }

  #stoppedBeforeStart(): QueueError {
    return new QueueError(
      'CLOSED',
      `the consumer of '${this.#queue.name}' was stopped before it had started`,
    );
  }

  unref(): void {
    this.#keepsAlive = false;
    this.#subscription?.unref();
  }

  ref(): void {
    this.#keepsAlive = true;
    this.#subscription?.ref();
    this.#runNext();
  }

  #accept(delivery: Delivery): void {
    if (this.#state !== 'starting' && this.#state !== 'running') {
      delivery.release();
      this.#released(delivery);
    } else {
      if (delivery.redelivered) this.#counts.redelivered++;
      this.#line.add(delivery);
      this.#runNext();
    }
  }

  #runNext(): void {
    while (this.#running.size < this.#concurrency) {
      if (!this.#keepsAlive && this.#exitGap.isDue(this.#running.size)) return;
      const delivery = this.#line.take();
      if (delivery === undefined) {
        if (this.#running.size === 0) this.#exitGap.idle();
        return;
      }
      this.#run(delivery);
    }
  }

  #run(delivery: Delivery): void {
    const run = new HandlerRun(delivery, this.#queue.name);
    this.#running.add(delivery, run);
    void process(delivery, run, this.#settings);
  }

  #leave(delivery: Delivery, run: HandlerRun): void {
    this.#running.remove(run);
    this.#line.done(delivery);
    this.#runNext();
    if (this.#running.size === 0) this.#draining.onIdle();
  }

  /** Ends the runs whose time is over, and says when to look again. */
  #expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const [delivery, run] of this.#running.entries()) {
      if (run.isOver(now)) void expire(delivery, run, this.#settings);
      else next = Math.min(next, run.nextDue);
    }
    return next;
  }

  #lose(delivery: Delivery, error: Error): void {
    const run = this.#running.of(delivery);
    if (run === undefined) {
      this.#line.remove(delivery);
      this.#runNext();
    } else {
      run.abandon(error);
    }
    this.#counts.lost++;
    this.#settings.emit?.({ type: 'lost', ...deliveryInfo(this.#queue.name, delivery), error });
  }

  stop(options: StopOptions = {}): Promise<StopResult> {
    checkOptionNames('stop', options, ['deadlineMs']);
    const deadlineMs = durationOption('deadlineMs', options.deadlineMs, { infinity: true, default: 30_000 });
    this.#draining.bringForward(deadlineMs);
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<StopResult> {
    this.#state = 'stopping';
    this.#startAborted.abort();
    // Its error is reported by `start`.
    await this.#starting?.catch(() => {});
    const cancelled = this.#subscription?.cancel();
    for (const delivery of this.#line.clear()) {
      delivery.release();
      this.#released(delivery);
    }
    await cancelled;
    if (this.#running.size > 0) await this.#draining.wait();
    this.#draining.end();
    const unfinished = this.#running.size;
    for (const [delivery, run] of this.#running.entries()) {
      run.abandon(new QueueError('CLOSED', `the consumer of '${this.#queue.name}' was stopped`));
      this.#released(delivery);
    }
    await this.#subscription?.close();
    await this.#closeHandler();
    this.#finish();
    return { unfinished };
  }

  #released(delivery: Delivery): void {
    this.#counts.released++;
    this.#settings.emit?.({ type: 'released', ...deliveryInfo(this.#queue.name, delivery) });
  }

  #fail(error: Error): void {
    const { emit } = this.#settings;
    if (emit !== undefined) {
      emit({ type: 'ended', queue: this.#queue.name, error });
    } else {
      globalThis.process.emitWarning(`the consumer of '${this.#queue.name}' has ended: ${error.message}`);
    }
    this.#ended.reject(error);
    this.stop();
  }

  #finish(): void {
    this.#state = 'stopped';
    this.#deadlines.stop();
    this.#ended.resolve();
  }
}
