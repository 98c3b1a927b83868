import type { Broker, Delivery, Subscription, WaitOptions } from '../broker.js';
import { QueueError } from '../errors.js';
import { checkOptionNames, durationOption, integerOption, invalidOption, MAX_DELAY_MS } from '../options.js';
import type { Queue } from '../queue.js';
import type { ConsumerEvent } from './events.js';
import { type Handler, HandlerRun } from './handler.js';
import { deliveryInfo, type ProcessSettings, process } from './process.js';

export interface RetryPolicy {
  /**
   * The wait before each further attempt, in milliseconds: `[1000, 10_000]` makes three attempts in all. On
   * RabbitMQ each distinct delay has a wait queue of its own, so use few. `[]`: no retries. 0: at once.
   * Default: `[1000, 10_000, 60_000]`.
   */
  readonly delaysMs: readonly number[];
}

export interface ConsumerOptions {
  /** How many handlers run at once. 1 keeps the order of the queue. Default: 1. */
  readonly concurrency?: number | undefined;
  /**
   * How many messages the broker hands over ahead of their settlement, those being handled included. Default:
   * twice `concurrency`, so that each handler finds its next message waiting. Raise it to some hundreds where
   * handlers take less than a round trip to the broker; lower it to `concurrency` where they take seconds and
   * several workers share the queue.
   */
  readonly prefetch?: number | undefined;
  readonly retry?: RetryPolicy | undefined;
  /**
   * How long a handler may take. Then its `signal` is aborted, the attempt counts as failed, and the next message
   * takes its place. Milliseconds, `Infinity` for no limit. Default: 1 500 000 (25 minutes), which is below the
   * 30 minutes after which RabbitMQ itself takes the message away (`consumer_timeout`).
   */
  readonly handlerTimeoutMs?: number | undefined;
  /** Told what became of each message. What it throws is ignored. */
  readonly observe?: ((event: ConsumerEvent) => void) | undefined;
}

export interface StopOptions {
  /**
   * How long running handlers may still take. After that their `signal` is aborted and their messages go back to
   * the queue. Milliseconds, `Infinity` for no limit. Default: 30 000.
   */
  readonly deadlineMs?: number | undefined;
}

export interface Stopped {
  /** Handlers that had not finished by the deadline; their messages went back to the queue. */
  readonly unfinished: number;
}

export type ConsumerState = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped';

/** Handles the messages of one queue. Made by {@link createConsumer}. */
export interface Consumer {
  readonly state: ConsumerState;
  /**
   * Declares the queue and begins to take messages. From then on the subscription renews itself after whatever
   * happens to the link. A consumer is started once.
   * Rejects with what declaring and subscribing reject with, `TIMEOUT` after `timeoutMs` (default 30 000),
   * `CLOSED` where `stop` came first.
   */
  start(options?: WaitOptions): Promise<void>;
  /**
   * Takes no more messages, gives those not begun back to the queue at no cost, and lets the running handlers
   * finish until the deadline. Always resolves. A second call waits for the same end, and brings the deadline
   * forward where its own is earlier.
   */
  stop(options?: StopOptions): Promise<Stopped>;
  /**
   * Resolves when the consumer has stopped. Rejects when it can't go on: the queue was deleted and is not ours to
   * declare, the permission was taken. Whoever does not look at it, and does not `observe`, gets a process warning.
   */
  readonly ended: Promise<void>;
}

/**
 * A consumer that calls `handler` with each message of the queue.
 *
 * ```ts
 * const consumer = createConsumer(broker, orders, async (order, { signal }) => {
 *   await ship(order, { signal });
 * }, { concurrency: 8, retry: { delaysMs: [1000, 60_000] } });
 * await consumer.start();
 * ```
 *
 * Bytes that do not decode, values that fail the schema and bodies over the size limit become dead letters without
 * the handler being called. Throws `INVALID_OPTION`.
 */
export function createConsumer<Out>(
  broker: Broker,
  queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
  handler: Handler<Out>,
  options?: ConsumerOptions,
): Consumer {
  if (typeof handler !== 'function') throw invalidOption('handler', 'a function', handler);
  return new QueueConsumer(broker, queue, handler, options);
}

/**
 *   idle ──start──► starting ──subscribed──► running ──stop──► stopping ──drained or deadline──► stopped
 *     └───────stop──────┴──(can't subscribe)──────┴──(subscription ended)─────────────────────────▲
 */
class QueueConsumer<Out> implements Consumer {
  readonly #broker: Broker;
  readonly #queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>;
  readonly #settings: ProcessSettings<Out>;
  readonly #concurrency: number;
  readonly #prefetch: number;

  #state: ConsumerState = 'idle';
  #subscription: Subscription | undefined;
  #starting: Promise<void> | undefined;
  /** Lets `stop` end a `start` that still waits for the broker. */
  readonly #startAborted = new AbortController();
  #stopping: Promise<Stopped> | undefined;
  /** Handed over and not begun; at most `prefetch`. */
  readonly #waiting: Delivery[] = [];
  /** Being handled or settled; at most `concurrency`. */
  readonly #running = new Map<Delivery, HandlerRun>();
  /** Called when `#running` becomes empty, and at the deadline. */
  #endDraining: (() => void) | undefined;
  #deadlineAt = Number.POSITIVE_INFINITY;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #deadlinePassed = false;

  readonly ended: Promise<void>;
  #resolveEnded!: () => void;
  #rejectEnded!: (error: Error) => void;

  constructor(
    broker: Broker,
    queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
    handler: Handler<Out>,
    options: ConsumerOptions = {},
  ) {
    checkOptionNames('createConsumer', options, [
      'concurrency',
      'prefetch',
      'retry',
      'handlerTimeoutMs',
      'observe',
    ]);
    this.#concurrency = integerOption('concurrency', options.concurrency, {
      min: 1,
      max: 65_535,
      default: 1,
    });
    this.#prefetch = integerOption('prefetch', options.prefetch, {
      min: 1,
      max: 65_535,
      default: Math.min(2 * this.#concurrency, 65_535),
    });
    if (this.#prefetch < this.#concurrency) {
      throw invalidOption('prefetch', `at least the concurrency of ${this.#concurrency}`, this.#prefetch);
    }
    this.#broker = broker;
    this.#queue = queue;
    this.#settings = {
      queue,
      handler,
      handlerTimeoutMs: durationOption('handlerTimeoutMs', options.handlerTimeoutMs, {
        min: 1,
        infinity: true,
        default: 1_500_000,
      }),
      delaysMs: delaysOption(options.retry),
      maxMessageBytes: broker.maxMessageBytes,
      emit: emitter(options.observe),
    };
    this.ended = new Promise((resolve, reject) => {
      this.#resolveEnded = resolve;
      this.#rejectEnded = reject;
    });
    this.ended.catch(() => {});
  }

  get state(): ConsumerState {
    return this.#state;
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
    const signals = [this.#startAborted.signal, ...(options.signal ? [options.signal] : [])];
    this.#starting = this.#subscribe({ signal: AbortSignal.any(signals), timeoutMs });
    try {
      await this.#starting;
    } catch (error) {
      this.#finish();
      throw this.#startAborted.signal.aborted ? this.#stoppedBeforeStart() : error;
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

  #accept(delivery: Delivery): void {
    if (this.#state !== 'starting' && this.#state !== 'running') {
      delivery.release();
    } else if (this.#running.size < this.#concurrency) {
      this.#run(delivery);
    } else {
      this.#waiting.push(delivery);
    }
  }

  #run(delivery: Delivery): void {
    const run = new HandlerRun(delivery, this.#queue.name);
    this.#running.set(delivery, run);
    // `process` never rejects.
    process(delivery, run, this.#settings).then(() => {
      this.#running.delete(delivery);
      const next = this.#waiting.shift();
      if (next !== undefined) this.#run(next);
      else if (this.#running.size === 0) this.#endDraining?.();
    });
  }

  #lose(delivery: Delivery, error: Error): void {
    const run = this.#running.get(delivery);
    if (run === undefined) {
      const position = this.#waiting.indexOf(delivery);
      if (position >= 0) this.#waiting.splice(position, 1);
    } else {
      run.abandon(error);
    }
    this.#settings.emit?.({ type: 'lost', ...deliveryInfo(this.#queue.name, delivery), error });
  }

  stop(options: StopOptions = {}): Promise<Stopped> {
    checkOptionNames('stop', options, ['deadlineMs']);
    const deadlineMs = durationOption('deadlineMs', options.deadlineMs, { infinity: true, default: 30_000 });
    this.#bringDeadline(deadlineMs);
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<Stopped> {
    this.#state = 'stopping';
    this.#startAborted.abort();
    // Its error is reported by `start`.
    await this.#starting?.catch(() => {});
    const cancelled = this.#subscription?.cancel();
    for (const delivery of this.#waiting.splice(0)) {
      delivery.release();
      this.#settings.emit?.({ type: 'released', ...deliveryInfo(this.#queue.name, delivery) });
    }
    await cancelled;
    await this.#drained();
    const unfinished = this.#running.size;
    for (const [delivery, run] of this.#running) {
      run.abandon(new QueueError('CLOSED', `the consumer of '${this.#queue.name}' was stopped`));
      this.#settings.emit?.({ type: 'released', ...deliveryInfo(this.#queue.name, delivery) });
    }
    await this.#subscription?.close();
    this.#finish();
    return { unfinished };
  }

  #bringDeadline(deadlineMs: number): void {
    const at = performance.now() + deadlineMs;
    if (at >= this.#deadlineAt || this.#state === 'stopped') return;
    this.#deadlineAt = at;
    clearTimeout(this.#deadlineTimer);
    this.#deadlineTimer = setTimeout(() => {
      this.#deadlinePassed = true;
      this.#endDraining?.();
    }, deadlineMs);
  }

  /** Resolves when no handler runs any more, or at the deadline. */
  async #drained(): Promise<void> {
    if (this.#running.size > 0 && !this.#deadlinePassed) {
      await new Promise<void>((resolve) => {
        this.#endDraining = resolve;
      });
    }
    clearTimeout(this.#deadlineTimer);
  }

  #fail(error: Error): void {
    const { emit } = this.#settings;
    if (emit !== undefined) {
      emit({ type: 'ended', queue: this.#queue.name, error });
    } else {
      globalThis.process.emitWarning(`the consumer of '${this.#queue.name}' has ended: ${error.message}`);
    }
    this.#rejectEnded(error);
    this.stop();
  }

  #finish(): void {
    this.#state = 'stopped';
    this.#resolveEnded();
  }
}

function delaysOption(retry: RetryPolicy | undefined): readonly number[] {
  if (retry === undefined) return [1000, 10_000, 60_000];
  checkOptionNames('retry', retry, ['delaysMs']);
  const { delaysMs } = retry;
  if (!Array.isArray(delaysMs)) throw invalidOption('retry.delaysMs', 'an array of milliseconds', delaysMs);
  return delaysMs.map((delayMs: number, index) =>
    integerOption(`retry.delaysMs[${index}]`, delayMs, { min: 0, max: MAX_DELAY_MS, default: 0 }),
  );
}

/** An observer that throws must not change what it observes. */
function emitter(observe: ConsumerOptions['observe']): ((event: ConsumerEvent) => void) | undefined {
  if (observe === undefined) return undefined;
  if (typeof observe !== 'function') throw invalidOption('observe', 'a function', observe);
  return (event) => {
    try {
      observe(event);
    } catch {
      // Documented: what an observer throws is ignored.
    }
  };
}
