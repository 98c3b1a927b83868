import type { Broker, Destination, Message, PublishOptions } from '../broker.js';
import { newMessageId } from '../common/message.js';
import { checkOptionNames, checkSize, durationOption, invalidOption } from '../common/options.js';
import { sendTracing } from '../common/tracing.js';
import { isQueueError } from '../errors.js';
import type { EncodedValue, Queue } from '../queue.js';
import { checkMessageOptions, type MessageOptions } from './message-options.js';
import { type SendManyResult, sendAll, type Values } from './send-many.js';

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

export interface SendOptions extends MessageOptions, SendWait {}

/** The message options hold for each of the messages; ids are always new. */
export interface SendManyOptions extends Omit<MessageOptions, 'id'>, SendWait {}

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
  sendMany(values: Values<In>, options?: SendManyOptions): Promise<SendManyResult>;
}

const SEND_MANY_OPTION_NAMES = [
  'signal',
  'timeoutMs',
  'headers',
  'priority',
  'correlationId',
  'replyTo',
] as const;
const SEND_OPTION_NAMES = [...SEND_MANY_OPTION_NAMES, 'id'] as const;

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
  queue: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode'>,
  options?: ProducerOptions,
): Producer<In> {
  checkOptionNames('createProducer', options, ['timeoutMs']);
  const defaultTimeoutMs = timeLimit(options?.timeoutMs, 30_000);
  const defaultWait: PublishOptions = { timeoutMs: defaultTimeoutMs };
  const address: Destination = { exchange: '', routingKey: queue.name };
  let declared = false;

  /** Declares the queue first. */
  async function storeFirst(message: Message, wait: PublishOptions): Promise<void> {
    // The broker checks each message; this one must be refused before there is a queue for it.
    checkSize(message, broker.maxMessageBytes);
    const before = performance.now();
    await broker.declare(queue.spec, wait);
    declared = true;
    const spent = performance.now() - before;
    const timeoutMs = Math.max(0, (wait.timeoutMs ?? Number.POSITIVE_INFINITY) - spent);
    await broker.publish(address, message, { ...wait, timeoutMs });
  }

  function store(message: Message, wait: PublishOptions): Promise<void> {
    return declared ? broker.publish(address, message, wait) : storeFirst(message, wait);
  }

  /** The queue was deleted since: the next message declares it again. */
  function noteFailure(error: unknown): void {
    if (isQueueError(error, 'UNROUTABLE')) declared = false;
  }

  /** Throws or rejects `INVALID_MESSAGE`. Asynchronous only where the schema is. */
  function messageOf(value: In, options: MessageOptions | undefined): Message | Promise<Message> {
    const encoding = queue.encode(value);
    return encoding instanceof Promise
      ? encoding.then((encoded) => toMessage(encoded, options))
      : toMessage(encoding, options);
  }

  async function publish(
    value: In,
    options: MessageOptions | undefined,
    wait: PublishOptions,
  ): Promise<SendResult> {
    const making = messageOf(value, options);
    const message = making instanceof Promise ? await making : making;
    try {
      await store(message, wait);
    } catch (error) {
      noteFailure(error);
      throw error;
    }
    return { id: message.id };
  }

  async function publishTraced(
    value: In,
    options: MessageOptions | undefined,
    wait: PublishOptions,
  ): Promise<SendResult> {
    if (options !== undefined) checkMessageOptions(options);
    const trace = { queue: queue.name, id: options?.id ?? newMessageId(), headers: { ...options?.headers } };
    // Called after those who listen to its start, who may add headers.
    const send = () => publish(value, { ...options, id: trace.id, headers: trace.headers }, wait);
    return sendTracing.tracePromise(send, trace);
  }

  function sendOne(
    value: In,
    options: MessageOptions | undefined,
    wait: PublishOptions,
  ): Promise<SendResult> {
    return sendTracing.hasSubscribers ? publishTraced(value, options, wait) : publish(value, options, wait);
  }

  /** As `sendOne`, and no promise more than there must be: what comes of it, `sendMany` needs only where it fails. */
  function sendOneOfMany(
    value: In,
    options: MessageOptions | undefined,
    wait: PublishOptions,
  ): Promise<unknown> {
    if (sendTracing.hasSubscribers) return publishTraced(value, options, wait);
    const making = messageOf(value, options);
    return making instanceof Promise ? making.then((message) => store(message, wait)) : store(making, wait);
  }

  function waitOf(options: SendWait): PublishOptions {
    if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
      throw invalidOption('signal', 'an AbortSignal', options.signal);
    }
    return { signal: options.signal, timeoutMs: timeLimit(options.timeoutMs, defaultTimeoutMs) };
  }

  async function sendWith(options: SendOptions, value: In): Promise<SendResult> {
    checkOptionNames('send', options, SEND_OPTION_NAMES);
    return sendOne(value, options, waitOf(options));
  }

  return {
    send(value, options) {
      return options === undefined ? sendOne(value, undefined, defaultWait) : sendWith(options, value);
    },

    async trySend(value, options = {}) {
      checkOptionNames('trySend', options, SEND_OPTION_NAMES);
      // The first one has to declare the queue, which would wait for the link.
      if (!declared && broker.state === 'connecting') return undefined;
      try {
        return await sendOne(value, options, { ...waitOf(options), noWait: true });
      } catch (error) {
        if (isQueueError(error, 'FULL')) return undefined;
        throw error;
      }
    },

    async sendMany(values, options) {
      checkOptionNames('sendMany', options, SEND_MANY_OPTION_NAMES);
      const { timeoutMs } = waitOf(options ?? {});
      const send = (signal: AbortSignal | undefined) => {
        const wait: PublishOptions = { signal, timeoutMs };
        return (value: In) => sendOneOfMany(value, options, wait);
      };
      try {
        return await sendAll(values, send, options?.signal);
      } catch (error) {
        noteFailure(error);
        throw error;
      }
    },
  };
}

function timeLimit(value: number | undefined, fallback: number): number {
  return durationOption('timeoutMs', value, { infinity: true, default: fallback });
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

function toMessage(encoded: EncodedValue, options: MessageOptions | undefined): Message {
  if (options !== undefined) checkMessageOptions(options);
  return {
    id: options?.id ?? newMessageId(),
    contentType: encoded.contentType,
    headers: options?.headers ?? NO_HEADERS,
    body: encoded.body,
    timestamp: Date.now(),
    priority: options?.priority,
    correlationId: options?.correlationId,
    replyTo: options?.replyTo,
  };
}
