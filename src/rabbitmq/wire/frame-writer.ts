import { FRAME_END, FRAME_HEAD_BYTES } from './frame-layout.js';

/** Writes AMQP 0-9-1 frames, one field after the other. There has to be room: nothing is checked. */
export class FrameWriter {
  offset: number;
  readonly #buffer: Buffer;
  readonly #channel: number;

  constructor(buffer: Buffer, offset: number, channel: number) {
    this.#buffer = buffer;
    this.offset = offset;
    this.#channel = channel;
  }

  /** Returns where the frame begins, for {@link endFrame}. */
  beginFrame(type: number): number {
    const begin = this.offset;
    this.octet(type);
    this.short(this.#channel);
    this.offset += 4;
    return begin;
  }

  endFrame(begin: number): void {
    // The size is that of what is between the head of the frame and its end.
    this.longAt(begin + 3, this.offset - begin - FRAME_HEAD_BYTES);
    this.octet(FRAME_END);
  }

  octet(value: number): void {
    this.#buffer[this.offset++] = value;
  }

  short(value: number): void {
    this.#buffer[this.offset++] = value >>> 8;
    this.#buffer[this.offset++] = value;
  }

  long(value: number): void {
    this.longAt(this.offset, value);
    this.offset += 4;
  }

  longAt(offset: number, value: number): void {
    this.#buffer[offset] = value >>> 24;
    this.#buffer[offset + 1] = value >>> 16;
    this.#buffer[offset + 2] = value >>> 8;
    this.#buffer[offset + 3] = value;
  }

  /** Up to 2^53, as far as numbers are exact. */
  longLong(value: number): void {
    this.long(Math.floor(value / 2 ** 32));
    this.long(value >>> 0);
  }

  /** At most 255 bytes of UTF-8. */
  shortString(text: string): void {
    const length = text === '' ? 0 : this.#buffer.write(text, this.offset + 1);
    this.#buffer[this.offset] = length;
    this.offset += 1 + length;
  }

  longString(text: string): void {
    const begin = this.offset;
    this.offset += 4;
    this.longAt(begin, this.text(text));
  }

  /** Returns how many bytes it has. */
  text(text: string): number {
    const length = text === '' ? 0 : this.#buffer.write(text, this.offset);
    this.offset += length;
    return length;
  }

  bytes(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.offset);
    this.offset += bytes.length;
  }
}
