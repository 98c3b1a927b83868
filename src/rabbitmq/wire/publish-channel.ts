import type { Duplex } from 'node:stream';
import type { ConfirmChannel, Options } from 'amqplib';
import type { WireMessage, WireProperties } from './amqp-message.js';
import { amqplibValue } from './amqplib-message.js';
import { expirationOf, roomForPublish, writePublish } from './publish-frames.js';

/** Memory that many messages are written into, one after the other. */
const BLOCK_BYTES = 256 * 1024;

/**
 * This much is sent at once, for the broker to process while the rest of the burst is being written. Less costs more
 * system calls.
 */
const SEND_FROM_BYTES = 128 * 1024;

/** Members of a channel and its connection that amqplib's types omit. */
export interface PublishInternals {
  readonly ch: number;
  readonly connection: {
    readonly frameMax: number;
    /** The socket. */
    readonly stream: Duplex;
    sentSinceLastCheck: boolean;
    /** By number: the channel, and the stream of its frames on their way to the socket. */
    readonly channels: readonly ({ readonly channel: object; readonly buffer: Duplex } | null | undefined)[];
  };
  pushConfirmCallback(callback: undefined): void;
}

/** An answer of the broker, as amqplib emits it. */
interface Answer {
  readonly deliveryTag: number;
  readonly multiple: boolean;
}

export interface PublishChannelListener {
  /** The broker answered about the message with this delivery tag; with `multiple`, about all up to it. */
  onAnswer(deliveryTag: number, multiple: boolean, isAccepted: boolean): void;
  /** No more should be published until `onDrain`. */
  onFull(): void;
  onDrain(): void;
}

/**
 * Publishes on a confirm channel.
 *
 * amqplib makes six buffers for each message, and each goes through a stream of its channel to the socket, a turn of
 * the event loop later. Here the messages of a burst are written into one piece of memory, and straight to the socket.
 * Without those internals amqplib's own `publish` does it. What amqplib itself has still to write on the channel goes
 * first, so that all stays in order.
 */
export class PublishChannel {
  readonly #channel: ConfirmChannel;
  readonly #listener: PublishChannelListener;
  readonly #internals: PublishInternals | undefined;
  /** Bytes. */
  readonly #frameMax: number;
  #published = 0;
  /** Written from its start; the part that was handed over is never overwritten. */
  #block = Buffer.alloc(0);
  #handedOver = 0;
  #written = 0;
  readonly #flush = () => this.#handOver();

  /** `internals`: undefined where amqplib is to do everything. `frameMax`: bytes; 0: no limit. */
  constructor(
    channel: ConfirmChannel,
    internals: PublishInternals | undefined,
    frameMax: number,
    listener: PublishChannelListener,
  ) {
    this.#channel = channel;
    this.#internals = internals;
    this.#frameMax = frameMax === 0 ? Number.POSITIVE_INFINITY : frameMax;
    this.#listener = listener;
    channel.on('drain', listener.onDrain);
    this.#checkAnswers('ack', true);
    this.#checkAnswers('nack', false);
  }

  /** Whether messages are written here, and not by amqplib. */
  get isDirect(): boolean {
    return this.#internals !== undefined;
  }

  /** Throws for properties that can't be encoded, and may throw when the channel is on its end. */
  publish(message: WireMessage, options: WireProperties): void {
    const outgoing = options === message.options ? message : { ...message, options };
    const room = roomForPublish(outgoing, this.#frameMax);
    if (this.#internals === undefined) {
      this.#publishByAmqplib(outgoing);
      this.#published++;
      return;
    }
    if (room > this.#block.length - this.#written) this.#takeBlock(room);
    if (this.#written === this.#handedOver) process.nextTick(this.#flush);
    this.#written = writePublish(this.#block, this.#written, outgoing, {
      channel: this.#internals.ch,
      frameMax: this.#frameMax,
    });
    this.#published++;
    // As amqplib does it for each message, since it counts the confirms.
    this.#internals.pushConfirmCallback(undefined);
    if (this.#written - this.#handedOver >= SEND_FROM_BYTES) this.#handOver();
  }

  /**
   * amqplib counts the confirms, too, and trusts every tag: one far ahead would keep it busy for minutes. A response is
   * about a message published here, or about nothing; tag 0 with `multiple` means all of it.
   */
  #checkAnswers(event: 'ack' | 'nack', isAccepted: boolean): void {
    const listeners = this.#channel.listeners(event);
    this.#channel.removeAllListeners(event);
    this.#channel.on(event, ({ deliveryTag, multiple }: Answer) => {
      const last = this.#published;
      if (deliveryTag > last && !multiple) return;
      const tag = multiple && deliveryTag === 0 ? last : Math.min(deliveryTag, last);
      for (const listener of listeners) listener.call(this.#channel, { deliveryTag: tag, multiple });
      this.#listener.onAnswer(tag, multiple, isAccepted);
    });
  }

  #publishByAmqplib(message: WireMessage): void {
    const { exchange, routingKey, content } = message;
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    if (!this.#channel.publish(exchange, routingKey, bytes, amqplibOptions(message))) this.#listener.onFull();
  }

  #takeBlock(room: number): void {
    this.#handOver();
    this.#block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, room));
    this.#handedOver = 0;
    this.#written = 0;
  }

  #handOver(): void {
    if (this.#internals === undefined || this.#written === this.#handedOver) return;
    const frames = this.#block.subarray(this.#handedOver, this.#written);
    this.#handedOver = this.#written;
    const { ch, connection } = this.#internals;
    const entry = connection.channels[ch];
    // When the channel is closed its number may be reused; its messages are sent again on the next one.
    if (entry?.channel !== this.#channel) return;
    if (entry.buffer.readableLength + entry.buffer.writableLength > 0) {
      if (!entry.buffer.write(frames)) this.#listener.onFull();
      return;
    }
    const { stream } = connection;
    connection.sentSinceLastCheck = true;
    // Node considers a stream full by the size of the writes, though the system may have taken all of them.
    if (stream.write(frames) || stream.writableLength === 0) return;
    this.#listener.onFull();
    stream.once('drain', this.#listener.onDrain);
  }
}

function amqplibOptions({ options, carried = [] }: WireMessage): Options.Publish {
  const asCame = Object.fromEntries(carried.map((field) => [field.name, amqplibValue(field)]));
  const { timestamp, expiresAt, ...others } = options;
  // amqplib omits undefined properties, though its types do not say so.
  return {
    ...others,
    expiration: expirationOf(expiresAt),
    headers: { ...asCame, ...options.headers },
    timestamp: typeof timestamp === 'bigint' ? Number(timestamp) : timestamp,
  } as Options.Publish;
}
