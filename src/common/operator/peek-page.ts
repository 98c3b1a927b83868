/** A page of peeked messages, filled alike by every backend: where it begins and ends, and how bodies are cut. */
import { isUtf8 } from 'node:buffer';
import type { Message, PeekedMessage, PeekPage } from '../../broker.js';

/** The bodies of one page. A single body may be larger, if the caller allows it. */
export const MAX_PAGE_BYTES = 8 * 1024 * 1024;

/** A place among messages, by two numbers that grow from one to the next. */
export type Cursor = readonly [major: number, minor: number];

/** What a page may hold, and where it begins. */
export interface PageLimits {
  readonly limit: number;
  /** The place of the last message of the page before. */
  readonly after: Cursor | undefined;
  readonly maxBodyBytes: number;
}

/** One page, as it is filled. */
export class PageWriter {
  readonly #limits: PageLimits;
  readonly #messages: PeekedMessage[] = [];
  #bytes = 0;
  #last: Cursor | undefined;

  constructor(limits: PageLimits) {
    this.#limits = limits;
  }

  /** Where the page ends so far; before its first message, where the page before it ended. */
  get end(): Cursor | undefined {
    return this.#last ?? this.#limits.after;
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Whether a message at this place comes after the page before. */
  isAfter([major, minor]: Cursor): boolean {
    const { after } = this.#limits;
    return after === undefined || major > after[0] || (major === after[0] && minor > after[1]);
  }

  /** Cuts the body; false if the page is full. `bodyBytes`: the size of the whole body, if it is cut already. */
  add(place: Cursor, facts: Omit<PeekedMessage, 'bodyBytes'>, bodyBytes?: number): boolean {
    const { maxBodyBytes, limit } = this.#limits;
    if (this.#messages.length >= limit) return false;
    const whole = bodyBytes ?? Buffer.byteLength(facts.message.body);
    const body = cutBody(facts.message.body, maxBodyBytes);
    this.#bytes += Buffer.byteLength(body);
    // The first one is shown regardless of its size.
    if (this.#bytes > MAX_PAGE_BYTES && !this.isEmpty) return false;
    this.#messages.push({ ...facts, message: { ...facts.message, body }, bodyBytes: whole });
    this.#last = place;
    return true;
  }

  /** `isComplete`: there are no more messages. */
  finish(isComplete: boolean): PeekPage {
    const next = isComplete || this.#last === undefined ? undefined : this.#last.join(':');
    return { messages: this.#messages, next };
  }
}

/** A copy of the first bytes; of a text, as many whole characters. */
export function cutBody(body: Message['body'], maxBytes: number): Message['body'] {
  if (typeof body !== 'string') return new Uint8Array(body.subarray(0, maxBytes));
  if (body.length * 3 <= maxBytes) return body;
  // A character takes at least a byte for each of its code units but one.
  return cutText(Buffer.from(body.slice(0, maxBytes + 1)), maxBytes);
}

/** The text of the first bytes, as many whole characters. */
export function cutText(bytes: Buffer, maxBytes: number): string {
  if (bytes.length <= maxBytes) return bytes.toString();
  let end = maxBytes;
  // A byte 10xxxxxx continues a character.
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** Cut bytes without the beginning of a character at their end, which would make them no text; other bytes as they are. */
export function wholeCharacters(cut: Buffer): Buffer {
  const begun = bytesOfBegunCharacter(cut);
  const whole = cut.subarray(0, cut.length - begun);
  return begun > 0 && isUtf8(whole) ? whole : cut;
}

/** How many bytes at the end begin a character of UTF-8 that has more. */
function bytesOfBegunCharacter(bytes: Buffer): number {
  for (let count = 1; count <= Math.min(3, bytes.length); count++) {
    const byte = bytes[bytes.length - count] as number;
    // A byte 10xxxxxx continues a character.
    if ((byte & 0xc0) !== 0x80) return count < characterBytes(byte) ? count : 0;
  }
  return 0;
}

/** By its first byte; 0: that begins none, or is one. */
function characterBytes(first: number): number {
  if (first < 0xc2 || first > 0xf4) return 0;
  if (first < 0xe0) return 2;
  return first < 0xf0 ? 3 : 4;
}
