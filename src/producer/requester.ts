import { randomUUID } from 'node:crypto';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Backend, Broker, Message, Replies } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { type Around, aroundSendOption, type SendContext } from '../common/hooks/around.js';
import { handlerTracking, type RunningHandler, runningHandler } from '../common/hooks/running-handler.js';
import { requestTracing } from '../common/hooks/tracing.js';
import { copyUnsent, isTooLarge, newMessage } from '../common/message/create-and-check.js';
import { NOTHING, remoteFailure } from '../common/message/reply-format.js';
import {
  checkOptionNames,
  checkSignal,
  durationOption,
  invalidOption,
  isThenable,
} from '../common/options.js';
import { QueueError, type RemoteFailure } from '../errors.js';
import { type DecodedValue, defineQueue, type Queue } from '../queue.js';
import { Call } from './call.js';
import { MESSAGE_OPTION_NAMES, type MessageOptions, messageProperties, packed } from './message-options.js';
import { checkAdded } from './send-around.js';
import type { SenderSettings } from './sender.js';

/** The options of `createRequester`. */
export interface RequesterOptions<Reply extends StandardSchemaV1 = StandardSchemaV1> {
  /** The schema of the handler's reply: any Standard Schema. */
  readonly reply: Reply;
  /**
   * How long a `request` may take in all, including waits for room and retries of the handler, unless it sets its own limit.
   * Milliseconds, `Infinity` for no limit. Default: 30,000.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Functions around each request, from its sending to its reply, which may add headers and replace the reply. The first
   * is the outermost. See {@link Around}.
   */
  readonly around?: readonly Around<SendContext>[] | undefined;
}

/** The options of `request`. All have defaults; unknown names are `INVALID_OPTION`. */
export interface RequestOptions extends Omit<MessageOptions, 'correlationId' | 'replyTo'> {
  /** Ends the request: `ABORTED` if nothing was stored, `UNCONFIRMED` if it was, or may have been. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds, `Infinity` for no limit. Default: the requester's. */
  readonly timeoutMs?: number | undefined;
}

/** Sends requests to one queue, and waits for the replies of its handlers. Created by {@link createRequester}. */
export interface Requester<In, Reply> extends AsyncDisposable {
  /**
   * Resolves to the return value of the handler. Requests may run concurrently.
   *
   * Rejects: `REMOTE_ERROR` if the handler has failed for good (after its last retry, or with `RejectMessage`) or if its
   * reply fails the schema; `error.remote` has its message and code. `INVALID_MESSAGE` and `TOO_LARGE` before any I/O.
   * `DEADLOCK` if only the handler that makes the request could answer it. `TIMEOUT`, `ABORTED`, and the errors of `send`
   * and of declaring the queue, if the request was not stored. `UNCONFIRMED` if the request is or may be stored and no
   * reply arrived in time, or can't arrive because its connection is lost. The handler may have done its work, or may
   * still do it.
   */
  request(value: In, options?: RequestOptions): Promise<Reply>;
  /**
   * Ends pending requests, with `CLOSED` if nothing was stored and `UNCONFIRMED` if it was, or may have been, and stops
   * listening for replies. Always resolves.
   */
  close(): Promise<void>;
}

const REQUEST_OPTION_NAMES: readonly string[] = [
  'signal',
  'timeoutMs',
  'id',
  ...MESSAGE_OPTION_NAMES.filter((name) => name !== 'correlationId' && name !== 'replyTo'),
];

/**
 * A requester for one queue. The return value of the consumer's handler is the reply.
 *
 * ```ts
 * const square = defineQueue('square', z.number(), { deadLetter: false });
 * const consumer = createConsumer(broker, square, (n) => n * n, { retry: { delaysMs: [] } });
 * await consumer.start();
 *
 * const squares = createRequester(broker, square, { reply: z.number() });
 * console.log(await squares.request(12)); // 144
 * ```
 *
 * A failed attempt that will be retried is not answered, so the caller waits for the retries: give the consumer few of
 * them, or none. A failed request also becomes a dead letter, unless the queue has none.
 *
 * Replies use direct reply-to on RabbitMQ, and a queue of the requester on local brokers. They are delivered at most once.
 * An idle requester does not keep the process alive. Throws `INVALID_OPTION`.
 */
export function createRequester<In, Reply extends StandardSchemaV1>(
  broker: Broker,
  queue: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'>,
  options: RequesterOptions<Reply>,
): Requester<In, StandardSchemaV1.InferOutput<Reply>> {
  checkOptionNames('createRequester', options, ['reply', 'timeoutMs', 'around']);
  if (options === undefined) throw invalidOption('createRequester', 'an object with options', options);
  return new QueueRequester(backendOf(broker), queue, options.reply, {
    timeoutMs: timeLimit(options.timeoutMs, 30_000),
    around: aroundSendOption(options.around),
  });
}

class QueueRequester<In, Reply extends StandardSchemaV1>
  implements Requester<In, StandardSchemaV1.InferOutput<Reply>>
{
  readonly #broker: Backend;
  readonly #queue: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'>;
  readonly #timeoutMs: number;
  readonly #around: Around<SendContext> | undefined;
  readonly #decode: (
    reply: Message,
    maxBytes: number,
  ) => Promise<DecodedValue<StandardSchemaV1.InferOutput<Reply>>>;
  readonly #replies: Replies;
  /** Pending calls by correlation id. */
  readonly #calls = new Map<string, Call>();
  #closing: Promise<void> | undefined;

  constructor(
    broker: Backend,
    queue: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'>,
    schema: Reply,
    { timeoutMs, around }: SenderSettings,
  ) {
    this.#broker = broker;
    this.#around = around;
    this.#queue = queue;
    this.#timeoutMs = timeoutMs;
    this.#decode = replyDecoder(schema);
    handlerTracking.isOn = true;
    this.#replies = broker.receiveReplies({
      // A late or second reply has no call and is dropped.
      onReply: (reply) => this.#calls.get(reply.correlationId ?? '')?.receive(reply),
      onLost: (reason) => {
        for (const call of this.#calls.values()) call.lose(reason);
      },
    });
  }

  async request(value: In, options: RequestOptions = {}): Promise<StandardSchemaV1.InferOutput<Reply>> {
    checkOptionNames('request', options, REQUEST_OPTION_NAMES);
    const properties = messageProperties(options);
    checkSignal(options.signal);
    const timeoutMs = timeLimit(options.timeoutMs, this.#timeoutMs);
    if (this.#closing !== undefined) throw new QueueError('CLOSED', 'the requester was closed');
    const correlationId = randomUUID();
    const call = new Call(this.#queue.name, timeoutMs, options.signal, () => this.#broker.outage);
    this.#calls.set(correlationId, call);
    try {
      const encoding = this.#queue.encode(value);
      const encoded = isThenable(encoding) ? await call.whilePreparing(Promise.resolve(encoding)) : encoding;
      // It waits until the queue is declared, and its body may be the caller's own buffer.
      const body = packed(encoded, properties, this.#queue, this.#broker.maxMessageBytes);
      const message = copyUnsent(newMessage(body, { ...properties, correlationId }));
      return await this.#ask(call, message, correlationId);
    } finally {
      call.end();
      this.#calls.delete(correlationId);
    }
  }

  #ask(call: Call, message: Message, correlationId: string): Promise<StandardSchemaV1.InferOutput<Reply>> {
    const around = this.#around;
    const ask = async (asked: Message) => {
      const reply = await this.#exchange(call, asked);
      return call.unlessOver(this.#valueOf(reply));
    };
    if (around === undefined && !requestTracing.hasSubscribers) return ask(message);
    const queue = this.#queue.name;
    const headers = { ...message.headers };
    const to = { url: this.#broker.url, exchange: '', routingKey: queue };
    // Called after the subscribers of its start, which may add headers.
    const send = async () => {
      checkAdded(message, headers);
      return ask({ ...message, headers });
    };
    const { id } = message;
    const all = around === undefined ? send : () => call.unlessOver(around(send, { queue, id, headers }));
    const trace = { queue, id, ...to, headers, correlationId };
    return requestTracing.hasSubscribers ? requestTracing.tracePromise(all, trace) : all();
  }

  close(): Promise<void> {
    for (const call of this.#calls.values()) call.stop('CLOSED', 'the requester was closed');
    this.#closing ??= this.#replies.close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #exchange(call: Call, message: Message): Promise<Message> {
    await call.whilePreparing(this.#broker.declare(this.#queue.spec, { signal: call.stopped }));
    const handler = runningHandler();
    if (handler !== undefined) await call.whilePreparing(this.#checkAnswerable(handler, message));
    const to = { exchange: '', routingKey: this.#queue.name };
    let sent = false;
    while (!sent) {
      const replyTo = await call.whilePreparing(this.#replies.replyTo());
      sent = await call.send((signal) => this.#broker.publish(to, { ...message, replyTo }, { signal }));
    }
    return call.reply;
  }

  /** Throws `DEADLOCK` if only the calling handler itself could answer. */
  async #checkAnswerable(handler: RunningHandler, message: Message): Promise<void> {
    if (!(await handler.holdsUp(this.#broker, this.#queue.name, message))) return;
    throw new QueueError(
      'DEADLOCK',
      `a request from the handler of '${this.#queue.name}' to this queue would wait for that handler itself: ` +
        'call a function instead, or use a separate queue for such requests',
    );
  }

  async #valueOf(reply: Message): Promise<StandardSchemaV1.InferOutput<Reply>> {
    const { maxMessageBytes } = this.#broker;
    const failure = remoteFailure(reply);
    if (failure !== undefined) throw this.#remoteError(failure, failure.message);
    if (isTooLarge(reply.body, maxMessageBytes)) {
      const message = `the reply has ${Buffer.byteLength(reply.body)} bytes, the limit is ${maxMessageBytes}`;
      throw this.#remoteError({ code: 'too-large', message }, message);
    }
    const decoded = await this.#decode(reply, maxMessageBytes);
    if (decoded.ok) return decoded.value;
    const { code, error } = decoded.failure;
    throw this.#remoteError({ code, message: error }, `the reply does not fit its schema: ${error}`);
  }

  #remoteError(remote: RemoteFailure, why: string): QueueError {
    return new QueueError('REMOTE_ERROR', `the request to '${this.#queue.name}' failed: ${why}`, { remote });
  }
}

/** Replies are JSON unless they have another known label; replies without a label come from other clients. */
function replyDecoder<Reply extends StandardSchemaV1>(schema: Reply) {
  const replies = defineQueue('replies', schema, {
    codec: { contentType: NOTHING, encode: () => '', decode: () => undefined },
  });
  return async (reply: Message, maxBytes: number) =>
    replies.decode(
      reply.contentType === '' ? { ...reply, contentType: 'application/json' } : reply,
      maxBytes,
    );
}

function timeLimit(value: number | undefined, fallback: number): number {
  return durationOption('timeoutMs', value, { infinity: true, default: fallback });
}
