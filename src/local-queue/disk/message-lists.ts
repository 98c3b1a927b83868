import type { Message } from '../../broker.js';
import { headersText, parseHeaders, parseProperties, propertiesText } from './message-json.js';

/**
 * Messages in transit between the threads, as parallel lists: a list of texts crosses several times faster than as many
 * objects, and bytes are transferred, not copied.
 */
export interface MessageLists {
  readonly ids: string[];
  readonly contentTypes: string[];
  readonly timestamps: (number | null)[];
  readonly priorities: (number | null)[];
  /** A text as it is; for bytes, the end in `bytes`. They start at the end of those before them. */
  readonly bodies: (string | number)[];
  bytes: Uint8Array<ArrayBuffer>;
  /** Rarely used properties: each for the messages from a position on, up to the next. Most runs of messages share them. */
  readonly extras: (MessageExtras | null)[];
  /** These positions. */
  readonly extrasFrom: number[];
}

export interface MessageExtras {
  /** JSON; null: none. */
  readonly headers: string | null;
  /** JSON; null: none. */
  readonly properties: string | null;
  readonly expiresAt: number | null;
}

const NO_BYTES = new Uint8Array(new ArrayBuffer(0));

/** Collects messages. */
export class MessageWriter {
  readonly lists: MessageLists = {
    ids: [],
    contentTypes: [],
    timestamps: [],
    priorities: [],
    bodies: [],
    bytes: NO_BYTES,
    extras: [],
    extrasFrom: [],
  };
  #buffer = NO_BYTES;
  #bytes = 0;
  #characters = 0;
  #lastExtras: MessageExtras | null = null;

  /** About how much there is to move. */
  get size(): number {
    return this.#bytes + this.#characters;
  }

  append(message: Message): void {
    const { timestamp = null, priority = null, expiresAt = null } = message;
    const headers = headersText(message.headers);
    const properties = propertiesText(message);
    this.add(
      message.id,
      message.contentType,
      timestamp,
      priority,
      message.body,
      headers,
      properties,
      expiresAt,
    );
  }

  // Not an object, which would be made for each message.
  add(
    id: string,
    contentType: string,
    timestamp: number | null,
    priority: number | null,
    body: string | Uint8Array,
    headers: string | null,
    properties: string | null,
    expiresAt: number | null,
  ): void {
    this.#addExtras(headers, properties, expiresAt);
    const { lists } = this;
    lists.ids.push(id);
    lists.contentTypes.push(contentType);
    lists.timestamps.push(timestamp);
    lists.priorities.push(priority);
    if (typeof body === 'string') {
      lists.bodies.push(body);
      this.#characters += body.length;
    } else {
      this.#addBytes(body);
      lists.bodies.push(this.#bytes);
    }
  }

  /** To the message that is added next. */
  #addExtras(headers: string | null, properties: string | null, expiresAt: number | null): void {
    const last = this.#lastExtras;
    const isNone = headers === null && properties === null && expiresAt === null;
    const isAsBefore = last === null ? isNone : areSame(last, headers, properties, expiresAt);
    if (!isAsBefore) {
      this.#lastExtras = isNone ? null : { headers, properties, expiresAt };
      this.lists.extras.push(this.#lastExtras);
      this.lists.extrasFrom.push(this.lists.ids.length);
    }
    if (headers !== null) this.#characters += headers.length;
    if (properties !== null) this.#characters += properties.length;
  }

  /** The lists, with their transferable parts. */
  finish(): MessageLists {
    this.lists.bytes = this.#buffer.subarray(0, this.#bytes);
    return this.lists;
  }

  #addBytes(bytes: Uint8Array): void {
    const needed = this.#bytes + bytes.byteLength;
    if (needed > this.#buffer.byteLength) {
      // Not from Node's pool, whose memory is shared by many buffers and can't be transferred.
      const larger = new Uint8Array(new ArrayBuffer(Math.max(needed, this.#buffer.byteLength * 2, 1024)));
      larger.set(this.#buffer.subarray(0, this.#bytes));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#bytes);
    this.#bytes = needed;
  }
}

function areSame(
  one: MessageExtras,
  headers: string | null,
  properties: string | null,
  expiresAt: number | null,
): boolean {
  return one.properties === properties && one.headers === headers && one.expiresAt === expiresAt;
}

/** The rarely used properties of one of the messages; null: none. */
export function extrasAt({ extras, extrasFrom }: MessageLists, index: number): MessageExtras | null {
  let low = 0;
  let high = extrasFrom.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((extrasFrom[middle] as number) <= index) low = middle + 1;
    else high = middle;
  }
  return extras[low - 1] ?? null;
}

/** The bodies of lists, one after the other. Bodies of bytes share the memory of the lists. */
export class BodyReader {
  readonly #lists: MessageLists;
  #index = 0;
  #start = 0;

  constructor(lists: MessageLists) {
    this.#lists = lists;
  }

  next(): string | Uint8Array {
    const body = this.#lists.bodies[this.#index++] as string | number;
    if (typeof body === 'string') return body;
    const start = this.#start;
    this.#start = body;
    return this.#lists.bytes.subarray(start, body);
  }
}

/** One of the messages. Throws if the stored data can't be read. */
export function messageAt(lists: MessageLists, index: number, body: string | Uint8Array): Message {
  const extras = extrasAt(lists, index);
  return {
    id: lists.ids[index] as string,
    contentType: lists.contentTypes[index] as string,
    headers: parseHeaders(extras?.headers ?? null),
    body: typeof body === 'string' ? body : new Uint8Array(body),
    timestamp: lists.timestamps[index] ?? undefined,
    priority: lists.priorities[index] ?? undefined,
    expiresAt: extras?.expiresAt ?? undefined,
    ...parseProperties(extras?.properties ?? null),
  };
}
