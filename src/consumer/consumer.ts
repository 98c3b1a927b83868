import type { Broker, Delivery, Subscription, WaitOptions } from '../broker.js';
import { QueueError } from '../errors.js';
import { checkOptionNames, durationOption, invalidOption, MAX_DELAY_MS } from '../options.js';
import type { Queue } from '../queue.js';
import { type ConsumerOptions, type ConsumerSettings, checkConsumerOptions } from './consumer-options.js';
import { decode } from './decode.js';
import { type Handler, HandlerRun } from './handler.js';
import { HandlerThreads, type ThreadedHandler } from './handler-threads.js';
import { type Discriminant, type HandlersByType, handlerByType } from './handlers-by-type.js';
import { KeyedLine } from './keyed-line.js';
import { type Line, PlainLine } from './line.js';
import { deliveryInfo, type ProcessSettings, process } from './process.js';

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
   * From now on this consumer does not keep the process alive: it is a helper of a program that does something else.
   * When that is done the process ends, in the midst of a handler too; what was not acknowledged comes again, where
   * the broker outlives the process. On RabbitMQ the connections keep the process alive until `broker.close()`, unless
   * there are consumers and all of them are helpers. At any time, before `start` as well.
   */
  unref(): void;
  /** Takes `unref` back. */
  ref(): void;
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
 * In place of one handler there may be one for each type of message, where the schema is a discriminated union:
 *
 * ```ts
 * createConsumer(broker, events, { by: 'type', handlers: { click: onClick, key: onKey } });
 * ```
 *
 * And for work that keeps a processor busy, a module whose default export is the handler, run in threads:
 *
 * ```ts
 * createConsumer(broker, images, { module: new URL('./resize.js', import.meta.url), threads: 4 });
 * ```
 *
 * Bytes that do not decode, values that fail the schema and bodies over the size limit become dead letters without
 * the handler being called. Throws `INVALID_OPTION`.
 */
export function createConsumer<Out, By extends Discriminant<Out> = Discriminant<Out>>(
  broker: Broker,
  queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
  handler: Handler<Out> | HandlersByType<Out, By> | ThreadedHandler,
  options?: ConsumerOptions<NoInfer<Out>>,
): Consumer {
  if (isThreaded(handler)) {
    const threads = new HandlerThreads(handler);
    const settings = checkConsumerOptions(options, threads.count);
    if (settings.concurrency !== threads.count) {
      throw invalidOption('concurrency', `the number of threads, ${threads.count}`, settings.concurrency);
    }
    const run: Handler<Out> = (value, context) => threads.run(value, context);
    return new QueueConsumer(broker, queue, run, settings, () => threads.close());
  }
  return new QueueConsumer(broker, queue, toHandler(handler), checkConsumerOptions(options), async () => {});
}

function isThreaded(handler: object): handler is ThreadedHandler {
  return typeof handler === 'object' && handler !== null && 'module' in handler;
}

function toHandler<Out>(
  handler: Handler<Out> | { readonly by: string; readonly handlers: object },
): Handler<Out> {
  if (typeof handler === 'function') return handler;
  if (typeof handler === 'object' && handler !== null) return handlerByType(handler);
  throw invalidOption('handler', 'a function, handlers by type, or the module of one', handler);
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
  /** Ends what the handler runs in. Never rejects. */
  readonly #closeHandler: () => Promise<void>;
  /** Handed over and not begun; at most `prefetch`. */
  readonly #line: Line;

  #state: ConsumerState = 'idle';
  #subscription: Subscription | undefined;
  #keepsAlive = true;
  #starting: Promise<void> | undefined;
  /** Lets `stop` end a `start` that still waits for the broker. */
  readonly #startAborted = new AbortController();
  #stopping: Promise<Stopped> | undefined;
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
    { concurrency, prefetch, key, ...settings }: ConsumerSettings<Out>,
    closeHandler: () => Promise<void>,
  ) {
    this.#closeHandler = closeHandler;
    this.#broker = broker;
    this.#queue = queue;
    this.#concurrency = concurrency;
    this.#prefetch = prefetch;
    const decodeDelivery = ({ message }: Delivery) => decode(message, queue, broker.maxMessageBytes);
    if (key === undefined) {
      this.#line = new PlainLine();
      this.#settings = { ...settings, broker, queue: queue.name, handler, decode: decodeDelivery };
    } else {
      const line = new KeyedLine({ keyOf: key, decode: decodeDelivery, onReady: () => this.#runNext() });
      this.#line = line;
      this.#settings = {
        ...settings,
        broker,
        queue: queue.name,
        handler,
        decode: (one) => line.decodedOf(one),
      };
    }
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
  }

  #accept(delivery: Delivery): void {
    if (this.#state !== 'starting' && this.#state !== 'running') {
      delivery.release();
    } else {
      this.#line.add(delivery);
      this.#runNext();
    }
  }

  #runNext(): void {
    while (this.#running.size < this.#concurrency) {
      const delivery = this.#line.take();
      if (delivery === undefined) return;
      this.#run(delivery);
    }
  }

  #run(delivery: Delivery): void {
    const run = new HandlerRun(delivery, this.#queue.name);
    this.#running.set(delivery, run);
    // `process` never rejects.
    process(delivery, run, this.#settings).then(() => {
      this.#running.delete(delivery);
      this.#line.done(delivery);
      this.#runNext();
      if (this.#running.size === 0) this.#endDraining?.();
    });
  }

  #lose(delivery: Delivery, error: Error): void {
    const run = this.#running.get(delivery);
    if (run === undefined) {
      this.#line.remove(delivery);
      this.#runNext();
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
    for (const delivery of this.#line.clear()) {
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
    await this.#closeHandler();
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
      // The subscription takes no more and may not keep the process alive any longer, but who stops waits for this.
      const keepAlive = setInterval(() => {}, MAX_DELAY_MS);
      await new Promise<void>((resolve) => {
        this.#endDraining = resolve;
      });
      clearInterval(keepAlive);
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
