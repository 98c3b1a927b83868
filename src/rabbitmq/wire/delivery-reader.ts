import type { Channel, ConsumeMessage } from 'amqplib';
import { DeliveryFrames } from './delivery-frames.js';

/** What amqplib's types of a connection leave out. */
export interface ReadInternals {
  /** What has arrived and was not read. */
  rest: Buffer;
  /** The next frame, decoded; false where there is none as yet. */
  recvFrame(): unknown;
}

/**
 * Reads the deliveries of a connection past amqplib, where they are wanted.
 *
 * amqplib makes some twenty objects of each delivery. It goes on reading everything else, in its turn: other frames,
 * what has not arrived as a whole, and what is unusual.
 */
export class DeliveryReader {
  readonly #receivers = new Map<number, (message: ConsumeMessage) => void>();
  readonly #frames = new DeliveryFrames();

  /** `connection`: undefined where amqplib is to read all by itself. */
  constructor(connection: ReadInternals | undefined) {
    if (connection === undefined) return;
    const recvFrame = connection.recvFrame.bind(connection);
    connection.recvFrame = () => {
      this.#readFrom(connection);
      return recvFrame();
    };
  }

  /**
   * From now on the deliveries of this channel are handed over here, though some come by amqplib's way, as if there
   * were no reader. `onMessage` must not throw. Returns how to end it.
   */
  receive(channel: Channel, onMessage: (message: ConsumeMessage) => void): () => void {
    if (!('ch' in channel && typeof channel.ch === 'number')) return () => {};
    const { ch } = channel;
    this.#receivers.set(ch, onMessage);
    return () => {
      // The number may be another channel's by now.
      if (this.#receivers.get(ch) === onMessage) this.#receivers.delete(ch);
    };
  }

  #readFrom(connection: ReadInternals): void {
    const bytes = connection.rest;
    let at = 0;
    try {
      while (true) {
        const channel = this.#frames.channelAt(bytes, at);
        const onMessage = channel === 0 ? undefined : this.#receivers.get(channel);
        const message = onMessage && this.#frames.read(bytes, at);
        if (message === undefined) return;
        at = this.#frames.end;
        onMessage?.(message);
      }
    } finally {
      if (at > 0) connection.rest = bytes.subarray(at);
    }
  }
}
