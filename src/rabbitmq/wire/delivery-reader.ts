/** Which deliveries of a connection are read here, from its bytes, in place of amqplib. */
import type { Channel } from 'amqplib';
import type { ReceivedMessage } from './amqp-message.js';
import { channelOf, DeliveryFrames, type DeliveryHead, endOfFrame } from './delivery-frames.js';
import { BODY_FRAME, FRAME_HEAD_BYTES, HEADER_FRAME } from './frames.js';
import { MalformedFrame } from './table-values.js';

/** Members of a connection that amqplib's types omit. */
export interface ReadInternals {
  /** The data that has arrived and was not read. */
  rest: Buffer;
  /** The next frame, decoded; false if there is none yet. */
  recvFrame(): unknown;
}

/** A channel whose deliveries are read here. */
interface Receiver {
  /** Undefined: the consumer is gone. Deliveries still in flight to it are read, and dropped. */
  onMessage: ((message: ReceivedMessage) => void) | undefined;
  /** A delivery whose frames have not all arrived. */
  partial: PartialDelivery | undefined;
}

interface PartialDelivery {
  readonly fields: ReceivedMessage['fields'];
  head: DeliveryHead | undefined;
  readonly body: Buffer[];
  bytes: number;
}

/**
 * Reads the deliveries of a connection in place of amqplib, which creates some twenty objects for each, forgets the
 * types of headers, and fails on deep ones. amqplib still reads all other frames, and frames that have not arrived
 * completely.
 *
 *   (none) ──all there──► handed over
 *     └──method frame──► partial ──header frame──► partial ──last body frame──► handed over
 */
export class DeliveryReader {
  readonly #receivers = new Map<number, Receiver>();
  readonly #frames = new DeliveryFrames();
  readonly #connection: ReadInternals | undefined;
  #isReading = false;

  /** `connection`: undefined to leave all reading to amqplib. */
  constructor(connection: ReadInternals | undefined) {
    this.#connection = connection;
  }

  /**
   * Hands the deliveries of this channel to `onMessage`, which must not throw, unless amqplib does all the reading.
   * Returns a function that ends this. Until the channel is closed its deliveries are still read here, since amqplib
   * drops the connection over headers that are nested deeply.
   */
  receive(channel: Channel, onMessage: (message: ReceivedMessage) => void): () => void {
    if (!('ch' in channel && typeof channel.ch === 'number')) return () => {};
    const { ch } = channel;
    const receiver: Receiver = { onMessage, partial: undefined };
    this.#receivers.set(ch, receiver);
    this.#startReading();
    channel.once('close', () => this.#forget(ch, receiver));
    return () => {
      receiver.onMessage = undefined;
    };
  }

  /** From the first receiver on: a connection that only publishes has none. */
  #startReading(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#isReading) return;
    this.#isReading = true;
    const recvFrame = connection.recvFrame.bind(connection);
    connection.recvFrame = () => {
      // amqplib treats an exception as a broken frame, and closes the connection.
      this.#readFrom(connection);
      return recvFrame();
    };
  }

  #readFrom(connection: ReadInternals): void {
    const bytes = connection.rest;
    let at = 0;
    try {
      while (bytes.length >= at + FRAME_HEAD_BYTES) {
        const receiver = this.#receivers.get(channelOf(bytes, at));
        if (receiver === undefined) return;
        const end = this.#readOne(bytes, at, receiver);
        if (end === 0) return;
        at = end;
      }
    } finally {
      if (at > 0) connection.rest = bytes.subarray(at);
    }
  }

  /** Reads a delivery, or one frame of it. Returns where it ends; 0 leaves the frame to amqplib. */
  #readOne(bytes: Buffer, at: number, receiver: Receiver): number {
    if (receiver.partial !== undefined) return this.#readOn(bytes, at, receiver, receiver.partial);
    if (!this.#frames.isDelivery(bytes, at)) return 0;
    const message = this.#frames.read(bytes, at);
    if (message !== undefined) {
      receiver.onMessage?.(message);
      return this.#frames.end;
    }
    const end = endOfFrame(bytes, at);
    if (end === 0) return 0;
    const fields = this.#frames.readFields(bytes, at, end);
    receiver.partial = { fields, head: undefined, body: [], bytes: 0 };
    return end;
  }

  /** The next frame of a delivery. */
  #readOn(bytes: Buffer, at: number, receiver: Receiver, partial: PartialDelivery): number {
    const end = endOfFrame(bytes, at);
    if (end === 0) return 0;
    if (partial.head === undefined) {
      if (bytes[at] !== HEADER_FRAME) throw new MalformedFrame('a delivery without its header');
      partial.head = this.#frames.readHead(bytes, at, end);
    } else {
      if (bytes[at] !== BODY_FRAME) throw new MalformedFrame('a delivery without the whole of its body');
      const piece = bytes.subarray(at + FRAME_HEAD_BYTES, end - 1);
      // Pieces without bytes would accumulate, and never fill the body.
      if (piece.length > 0) partial.body.push(piece);
      partial.bytes += piece.length;
    }
    const { head, fields, body } = partial;
    if (partial.bytes > head.size) throw new MalformedFrame('a body that is longer than its header says');
    if (partial.bytes < head.size) return end;
    receiver.partial = undefined;
    const { properties, headers } = head;
    const [only = Buffer.alloc(0)] = body;
    receiver.onMessage?.({
      fields,
      properties,
      headers,
      content: body.length > 1 ? Buffer.concat(body) : only,
    });
    return end;
  }

  #forget(ch: number, receiver: Receiver): void {
    // The number may be another channel's by now.
    if (this.#receivers.get(ch) === receiver) this.#receivers.delete(ch);
  }
}
