import type { Backend, Broker, Destination, Message, PublishOptions } from '../broker.js';
import { within } from '../common/limits.js';
import { copyMessage, newMessage, newMessageId } from '../common/message.js';
import {
  backendOf,
  checkOptionNames,
  checkSignal,
  checkSize,
  durationOption,
  isThenable,
} from '../common/options.js';
import { type SendTrace, sendTracing } from '../common/tracing.js';
import { isQueueError } from '../errors.js';
import type { EncodedValue, Queue } from '../queue.js';
import { checkEachValue, EACH_VALUE_OPTION_NAMES, type EachValueOptions } from './each-value.js';
import {
  MESSAGE_OPTION_NAMES,
  type MessageOptions,
  type MessageProperties,
  messageProperties,
  packed,
} from './message-options.js';
import { type SendManyResult, sendAll, type ValueSender } from './send-many.js';
import type { Values } from './value-source.js';

/** What `createProducer` takes. All have defaults. */
export interface ProducerOptions {
  /**
   * How long a `send` may take in all, waits for room included, unless it says otherwise itself.
   * Milliseconds, `Infinity` for no limit. Default: 30 000.
   */
  readonly timeoutMs?: number | undefined;
}

/** What bounds a send. */
export interface SendWait {
  /** Ends the send: `ABORTED` where nothing was stored, `UNCONFIRMED` where that is not known. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds, `Infinity` for no limit. Default: the producer's. */
  readonly timeoutMs?: number | undefined;
}

/** What `send` takes besides the value. All have defaults; unknown names are `INVALID_OPTION`. */
export interface SendOptions extends MessageOptions, SendWait {}

/** The message options hold for each of the messages, unless `each` says otherwise; ids are new unless it names them. */
export interface SendManyOptions<In = unknown>
  extends Omit<MessageOptions, 'id'>,
    SendWait,
    EachValueOptions<In> {}

/** What `send` resolves to. */
export interface SendResult {
  /** The message's id: the one given, or a new UUID. */
  readonly id: string;
}

/** Sends values to one queue. Made by {@link createProducer}; holds nothing that must be closed. */
export interface Producer<In> {
  /**
   * Resolves when the message is routed to the queue and stored: in memory, flushed to disk, or confirmed by
   * RabbitMQ. Waits while there is no room, which is the back-pressure. Declares the queue when it is first used.
   *
   * Rejects: `INVALID_MESSAGE` and `TOO_LARGE` before any I/O; `TIMEOUT`, `ABORTED`, `UNROUTABLE`, `REFUSED`,
   * `CLOSED` where nothing was stored; `UNCONFIRMED` where the message may have arrived (send it again under the
   * same `id`, and let the consumer tell the two apart by it); and what declaring the queue may reject with.
   */
  send(value: In, options?: SendOptions): Promise<SendResult>;

  /**
   * As {@link send}, but never waits for room: resolves to undefined, with nothing stored, where `send` would
   * have to wait.
   */
  trySend(value: In, options?: SendOptions): Promise<SendResult | undefined>;

  /**
   * Sends many values, as many at once as the window of unconfirmed messages takes, in order. Takes values from
   * the iterable only as they can be sent. Stops at the first error: takes no further value, waits for those
   * under way, and rejects with that error and its `progress`, which says what is stored and what is not. An
   * error of the iterable itself ends it in the same way, with `ABORTED` and that error as the `cause`.
   */
  sendMany(values: Values<In>, options?: SendManyOptions<In>): Promise<SendManyResult>;
}

const SEND_MANY_OPTION_NAMES = ['signal', 'timeoutMs', ...MESSAGE_OPTION_NAMES];
const SEND_OPTION_NAMES = [...SEND_MANY_OPTION_NAMES, 'id'];

/**
 * A producer for one queue.
 *
 * ```ts
 * const producer = createProducer(broker, orders);
 * await producer.send({ id: 'A-1', total: 12.5 });
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function createProducer<In>(
  broker: Broker,
  queue: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'>,
  options?: ProducerOptions,
): Producer<In> {
  checkOptionNames('createProducer', options, ['timeoutMs']);
  return new QueueProducer(backendOf(broker), queue, timeLimit(options?.timeoutMs, 30_000));
}

/**
 *   undeclared ──first message: size checked, queue declared──► declared ──UNROUTABLE: it was deleted──► undeclared
 */
class QueueProducer<In> implements Producer<In> {
  readonly #broker: Backend;
  readonly #queue: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'>;
  readonly #to: Destination;
  readonly #defaultWait: SendLimits;
  #isDeclared = false;
  /** The last message that waits for its declaration, with those before it. */
  #lastFirst: Promise<unknown> | undefined;

  constructor(
    broker: Backend,
    queue: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'>,
    timeoutMs: number,
  ) {
    this.#broker = broker;
    this.#queue = queue;
    this.#to = { exchange: '', routingKey: queue.name };
    this.#defaultWait = { timeoutMs };
    // They are handed around: `const { send } = producer`, `values.map(producer.send)`.
    this.send = this.send.bind(this);
    this.trySend = this.trySend.bind(this);
    this.sendMany = this.sendMany.bind(this);
  }

  send(value: In, options?: SendOptions): Promise<SendResult> {
    return options === undefined
      ? this.#send(value, undefined, this.#defaultWait)
      : this.#sendWith('send', value, options, false);
  }

  async trySend(value: In, options: SendOptions = {}): Promise<SendResult | undefined> {
    // The first message declares the queue, which would wait for the connection.
    if (!this.#isDeclared && this.#broker.state === 'connecting') {
      checkSendOptions('trySend', options);
      return undefined;
    }
    try {
      return await this.#sendWith('trySend', value, options, true);
    } catch (error) {
      if (isQueueError(error, 'FULL')) return undefined;
      throw error;
    }
  }

  async sendMany(values: Values<In>, options: SendManyOptions<In> = {}): Promise<SendManyResult> {
    checkOptionNames('sendMany', options, [...SEND_MANY_OPTION_NAMES, ...EACH_VALUE_OPTION_NAMES]);
    const { timeoutMs } = this.#limitsOf(options, false);
    const properties = messageProperties(options);
    const { propertiesOf, ...rules } = checkEachValue(options, properties);
    const sender = (signal: AbortSignal | undefined): ValueSender<In> => {
      const limits: SendLimits = { signal, timeoutMs };
      return {
        make: (value, index) => this.#make(value, propertiesOf?.(value, index) ?? properties, limits),
        store: (message) => this.#store(message, limits),
      };
    };
    try {
      return await sendAll(values, sender, options.signal, rules);
    } catch (error) {
      this.#noteFailure(error);
      throw error;
    }
  }

  async #sendWith(method: string, value: In, options: SendOptions, noWait: boolean): Promise<SendResult> {
    checkSendOptions(method, options);
    return this.#send(value, messageProperties(options), this.#limitsOf(options, noWait));
  }

  async #send(value: In, properties: MessageProperties | undefined, limits: SendLimits): Promise<SendResult> {
    const startedAt = performance.now();
    const making = this.#make(value, properties, limits);
    const message = making instanceof Promise ? await making : making;
    try {
      await this.#store(message, making instanceof Promise ? remaining(limits, startedAt) : limits);
    } catch (error) {
      this.#noteFailure(error);
      throw error;
    }
    return { id: message.id };
  }

  /** Throws or rejects: `INVALID_MESSAGE`, `TIMEOUT`, `ABORTED`. A promise only if the schema is asynchronous. */
  #make(
    value: In,
    properties: MessageProperties | undefined,
    limits: SendLimits,
  ): Message | Promise<Message> {
    try {
      const encoding = this.#queue.encode(value);
      if (!isThenable(encoding)) return this.#newMessage(encoding, properties);
      const action = `validating a value for '${this.#queue.name}'`;
      return within(Promise.resolve(encoding), action, limits, 'the schema gave no answer')
        .then((encoded) => this.#newMessage(encoded, properties))
        .catch((error) => this.#failUnmade(properties, error));
    } catch (error) {
      return this.#failUnmade(properties, error);
    }
  }

  /** Throws `TOO_LARGE`. */
  #newMessage(encoded: EncodedValue, properties: MessageProperties | undefined): Message {
    const body = packed(encoded, properties, this.#queue, this.#broker.maxMessageBytes);
    return newMessage(body, properties);
  }

  /** A send that ends before there is a message is traced like any other. */
  #failUnmade(properties: MessageProperties | undefined, error: unknown): never {
    if (sendTracing.hasSubscribers) {
      const trace = this.#traceOf(properties?.id ?? newMessageId(), properties?.headers);
      sendTracing.tracePromise(() => Promise.reject(error), trace).catch(() => {});
    }
    throw error;
  }

  #traceOf(id: string, headers: Message['headers'] | undefined): SendTrace {
    return { queue: this.#queue.name, id, headers: { ...headers } };
  }

  /** Resolves when the message is stored. */
  #store(message: Message, limits: SendLimits): Promise<unknown> {
    if (!sendTracing.hasSubscribers) return this.#publish(message, limits);
    const trace = this.#traceOf(message.id, message.headers);
    // Called after the subscribers of its start, which may add headers.
    const publish = async () => {
      await this.#publish({ ...message, headers: trace.headers }, limits);
      return { id: message.id };
    };
    return sendTracing.tracePromise(publish, trace);
  }

  #publish(message: Message, limits: SendLimits): Promise<boolean> {
    return this.#isDeclared && this.#lastFirst === undefined
      ? this.#broker.publish(this.#to, message, limits)
      : this.#publishFirst(message, limits);
  }

  /** Declares the queue first. Declarations may end in any order; what was sent first is published first. */
  async #publishFirst(message: Message, limits: SendLimits): Promise<boolean> {
    // The broker checks each message; this one must be refused before there is a queue for it.
    checkSize(message, this.#broker.maxMessageBytes);
    const before = this.#lastFirst;
    const turn = this.#declareAndPublish(message, limits, before);
    const last = Promise.allSettled([before, turn]);
    this.#lastFirst = last;
    last.then(() => {
      if (this.#lastFirst === last) this.#lastFirst = undefined;
    });
    return (await turn).publishing;
  }

  /** Resolves when the message is handed over: its publish, in an object, goes on. */
  async #declareAndPublish(
    message: Message,
    limits: SendLimits,
    before: Promise<unknown> | undefined,
  ): Promise<{ readonly publishing: Promise<boolean> }> {
    // The message waits here, and its body may be the caller's own buffer.
    const own = copyMessage(message);
    const startedAt = performance.now();
    const declaring = this.#broker.declare(this.#queue.spec, limits);
    const ready: Promise<unknown> = before === undefined ? declaring : Promise.all([declaring, before]);
    await within(ready, `declaring '${this.#queue.name}'`, limits);
    this.#isDeclared = true;
    return { publishing: this.#broker.publish(this.#to, own, remaining(limits, startedAt)) };
  }

  /** The queue was deleted: the next message declares it again. */
  #noteFailure(error: unknown): void {
    if (isQueueError(error, 'UNROUTABLE')) this.#isDeclared = false;
  }

  #limitsOf({ signal, timeoutMs }: SendWait, noWait: boolean): SendLimits {
    checkSignal(signal);
    return { signal, timeoutMs: timeLimit(timeoutMs, this.#defaultWait.timeoutMs), noWait };
  }
}

type SendLimits = PublishOptions & { readonly timeoutMs: number };

/** The same limits after a first step that took from `since` until now. Errors still name the whole limit. */
function remaining(limits: SendLimits, since: number): SendLimits {
  const { timeoutMs, limitMs = timeoutMs } = limits;
  return { ...limits, timeoutMs: Math.max(0, timeoutMs - (performance.now() - since)), limitMs };
}

function checkSendOptions(method: string, options: SendOptions): void {
  checkOptionNames(method, options, SEND_OPTION_NAMES);
}

function timeLimit(value: number | undefined, fallback: number): number {
  return durationOption('timeoutMs', value, { infinity: true, default: fallback });
}
