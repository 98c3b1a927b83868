import type { Backend, Destination, Message, PublishOptions } from '../broker.js';
import type { Around, SendContext } from '../common/hooks/around.js';
import { type SendTrace, sendTracing } from '../common/hooks/tracing.js';
import { checkSize, copyUnsent, newMessage, newMessageId } from '../common/message/create-and-check.js';
import { checkOptionNames, checkSignal, durationOption, isThenable } from '../common/options.js';
import { limitsLeft, within, withOutage } from '../common/waiting/waiting.js';
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
import { sendAround } from './send-around.js';
import { type SendManyResult, sendAll, type ValueSender } from './send-many.js';
import type { SendTarget } from './send-target.js';
import type { Values } from './value-source.js';

const SEND_MANY_OPTION_NAMES = ['signal', 'timeoutMs', ...MESSAGE_OPTION_NAMES];
const SEND_OPTION_NAMES = [...SEND_MANY_OPTION_NAMES, 'id'];

/** Every message goes to the queue. */
export function queueTarget<In>(
  queue: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'>,
): SendTarget<In, { readonly id: string }> {
  return {
    name: queue.name,
    verb: 'send',
    mandatory: true,
    encode: queue.encode,
    compress: queue.compress,
    declare: (broker, wait) => broker.declare(queue.spec, wait),
    result: (id) => ({ id }),
  };
}

/** State shared by all messages of a producer. */
export interface SenderSettings {
  readonly timeoutMs: number;
  readonly around: Around<SendContext> | undefined;
}

type SendWait = Pick<PublishOptions, 'signal'> & { readonly timeoutMs?: number | undefined };
/** The result of a target's `route`. */
type Routed = Pick<Message, 'origin' | 'type'>;
type SendOptions = MessageOptions & SendWait;
type SendManyOptions<In> = Omit<MessageOptions, 'id'> & SendWait & EachValueOptions<In>;

/**
 *   undeclared ──first message: size checked, queue declared──► declared ──UNROUTABLE: it was deleted──► undeclared
 */
export class Sender<In, Result> {
  readonly #broker: Backend;
  readonly #target: SendTarget<In, Result>;
  /** The default destination. */
  readonly #to: Destination;
  readonly #defaultWait: SendLimits;
  readonly #around: Around<SendContext> | undefined;
  #isDeclared = false;
  /** Settles with the last message that waits for the declaration, after all those before it. */
  #lastFirst: Promise<unknown> | undefined;

  constructor(broker: Backend, target: SendTarget<In, Result>, { timeoutMs, around }: SenderSettings) {
    this.#broker = broker;
    this.#around = around;
    this.#target = target;
    this.#to = { exchange: '', routingKey: target.name };
    this.#defaultWait = { timeoutMs, mandatory: target.mandatory };
    // Bound, for `const { send } = producer` and `values.map(producer.send)`.
    this.send = this.send.bind(this);
    this.trySend = this.trySend.bind(this);
    this.sendMany = this.sendMany.bind(this);
  }

  send(value: In, options?: SendOptions): Promise<Result> {
    return options === undefined
      ? this.#send(value, undefined, this.#defaultWait)
      : this.#sendWith(this.#target.verb, value, options, false);
  }

  async trySend(value: In, options: SendOptions = {}): Promise<Result | undefined> {
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

  /** `onStored`: called with each message, and whether it was routed. */
  async sendMany(
    values: Values<In>,
    options: SendManyOptions<In> = {},
    onStored?: (isRouted: boolean) => void,
  ): Promise<SendManyResult> {
    const names = [...SEND_MANY_OPTION_NAMES, ...EACH_VALUE_OPTION_NAMES];
    const method = `${this.#target.verb}Many`;
    checkOptionNames(method, options, names);
    const { timeoutMs } = this.#limitsOf(options, false);
    const properties = messageProperties(options);
    const { propertiesOf, ...rules } = checkEachValue(options, properties);
    const sender = (signal: AbortSignal | undefined): ValueSender<In> => {
      const limits: SendLimits = { ...this.#defaultWait, signal, timeoutMs };
      return {
        make: (value, index) => this.#make(value, propertiesOf?.(value, index) ?? properties, limits),
        store: (message) => this.#store(message, limits),
      };
    };
    try {
      return await sendAll(values, sender, options.signal, { ...rules, method, onStored });
    } catch (error) {
      this.#noteFailure(error);
      throw error;
    }
  }

  async #sendWith(method: string, value: In, options: SendOptions, noWait: boolean): Promise<Result> {
    checkSendOptions(method, options);
    return this.#send(value, messageProperties(options), this.#limitsOf(options, noWait));
  }

  async #send(value: In, properties: MessageProperties | undefined, limits: SendLimits): Promise<Result> {
    const startedAt = performance.now();
    const making = this.#make(value, properties, limits);
    const message = making instanceof Promise ? await making : making;
    try {
      const left = making instanceof Promise ? limitsLeft(limits, startedAt) : limits;
      return this.#target.result(message.id, await this.#store(message, left));
    } catch (error) {
      this.#noteFailure(error);
      throw error;
    }
  }

  /** Throws or rejects: `INVALID_MESSAGE`, `TIMEOUT`, `ABORTED`. A promise only if the schema is asynchronous. */
  #make(
    value: In,
    properties: MessageProperties | undefined,
    limits: SendLimits,
  ): Message | Promise<Message> {
    try {
      const encoding = this.#target.encode(value);
      const routed = this.#target.route?.(value);
      if (!isThenable(encoding)) return this.#newMessage(encoding, properties, routed);
      const action = `validating a value for '${this.#target.name}'`;
      return within(Promise.resolve(encoding), action, limits, 'the schema gave no answer')
        .then((encoded) => this.#newMessage(encoded, properties, routed))
        .catch((error) => this.#failUnmade(properties, error));
    } catch (error) {
      return this.#failUnmade(properties, error);
    }
  }

  /** Throws `TOO_LARGE`. */
  #newMessage(
    encoded: EncodedValue,
    properties: MessageProperties | undefined,
    routed: Routed | undefined,
  ): Message {
    if (properties === undefined && this.#target.compress === undefined)
      return newMessage(encoded, undefined, routed);
    const body = packed(encoded, properties, this.#target, this.#broker.maxMessageBytes);
    return newMessage(body, properties, routed);
  }

  /** Traces a send that ends before there is a message. */
  #failUnmade(properties: MessageProperties | undefined, error: unknown): never {
    if (sendTracing.hasSubscribers) {
      const trace = this.#traceOf(properties?.id ?? newMessageId(), properties?.headers, undefined);
      sendTracing.tracePromise(() => Promise.reject(error), trace).catch(() => {});
    }
    throw error;
  }

  #traceOf(id: string, headers: Message['headers'] | undefined, origin: Message['origin']): SendTrace {
    const { name: queue, verb } = this.#target;
    return { queue, id, verb, url: this.#broker.url, ...(origin ?? this.#to), headers: { ...headers } };
  }

  /** Resolves when the message is stored. */
  #store(message: Message, limits: SendLimits): Promise<boolean> {
    return this.#around === undefined && !sendTracing.hasSubscribers
      ? this.#publish(message, limits)
      : this.#storeWatched(message, limits);
  }

  #storeWatched(message: Message, limits: SendLimits): Promise<boolean> {
    const startedAt = performance.now();
    return sendAround({
      // While others are called, the caller may reuse its buffer.
      message: this.#around === undefined ? message : copyUnsent(message),
      around: this.#around,
      trace: this.#traceOf(message.id, message.headers, message.origin),
      limits,
      send: (sent) => this.#publish(sent, limitsLeft(limits, startedAt)),
    });
  }

  #publish(message: Message, limits: SendLimits): Promise<boolean> {
    if (this.#target.keepsAll === true) return this.#publishKept(message, limits);
    return this.#publishOnce(message, limits);
  }

  async #publishKept(message: Message, limits: SendLimits): Promise<boolean> {
    const startedAt = performance.now();
    // The caller may reuse its buffer meanwhile.
    const own = typeof message.body === 'string' ? message : copyUnsent(message);
    if (await this.#publishOnce(own, limits)) return true;
    this.#isDeclared = false;
    return this.#publishOnce(own, limitsLeft(limits, startedAt));
  }

  #publishOnce(message: Message, limits: SendLimits): Promise<boolean> {
    return this.#isDeclared && this.#lastFirst === undefined
      ? this.#broker.publish(message.origin ?? this.#to, message, limits)
      : this.#publishFirst(message, limits);
  }

  /** Declares the queue first. Declarations may end in any order; messages are published in the order of their sends. */
  async #publishFirst(message: Message, limits: SendLimits): Promise<boolean> {
    // The broker checks the size, too, but this message must be refused before the queue is created.
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

  /** Resolves when the message is passed to the broker. The pending publish is wrapped in an object. */
  async #declareAndPublish(
    message: Message,
    limits: SendLimits,
    before: Promise<unknown> | undefined,
  ): Promise<{ readonly publishing: Promise<boolean> }> {
    // The message waits here, and its body may be the caller's own buffer.
    const own = copyUnsent(message);
    const startedAt = performance.now();
    const declaring = this.#target.declare(this.#broker, limits);
    const ready: Promise<unknown> = before === undefined ? declaring : Promise.all([declaring, before]);
    await within(ready, `declaring '${this.#target.name}'`, limits).catch((error) => {
      throw withOutage(error, this.#broker.outage);
    });
    this.#isDeclared = true;
    return { publishing: this.#broker.publish(own.origin ?? this.#to, own, limitsLeft(limits, startedAt)) };
  }

  /** The queue was deleted: the next message declares it again. */
  #noteFailure(error: unknown): void {
    if (isQueueError(error, 'UNROUTABLE')) this.#isDeclared = false;
  }

  #limitsOf({ signal, timeoutMs }: SendWait, noWait: boolean): SendLimits {
    checkSignal(signal);
    const { timeoutMs: fallback, mandatory } = this.#defaultWait;
    return { signal, timeoutMs: timeLimit(timeoutMs, fallback), noWait, mandatory };
  }
}

type SendLimits = PublishOptions & { readonly timeoutMs: number };

function checkSendOptions(method: string, options: SendOptions): void {
  checkOptionNames(method, options, SEND_OPTION_NAMES);
}

function timeLimit(value: number | undefined, fallback: number): number {
  return durationOption('timeoutMs', value, { infinity: true, default: fallback });
}
