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
  /** Rarely used properties, by position. */
  readonly extras: Map<number, MessageExtras>;
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
    extras: new Map(),
  };
  #buffer = NO_BYTES;
  #bytes = 0;
  #characters = 0;
  /** One object for equal ones in a row, which crosses once. */
  #lastExtras: MessageExtras | undefined = undefined;

  /** About how much there is to move. */
  get size(): number {
    return this.#bytes + this.#characters;
  }

  append(message: Message): void {
    this.add(
      message.id,
      message.contentType,
      message.timestamp ?? null,
      message.priority ?? null,
      message.body,
    );
    const headers = headersText(message.headers);
    const properties = propertiesText(message);
    const { expiresAt = null } = message;
    if (headers === null && properties === null && expiresAt === null) return;
    const last = this.#lastExtras;
    const isSame =
      last !== undefined &&
      last.properties === properties &&
      last.headers === headers &&
      last.expiresAt === expiresAt;
    this.addExtras(isSame ? last : { headers, properties, expiresAt });
  }

  add(
    id: string,
    contentType: string,
    timestamp: number | null,
    priority: number | null,
    body: string | Uint8Array,
  ): void {
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

  /** To the message that was added last. */
  addExtras(extras: MessageExtras): void {
    this.#lastExtras = extras;
    this.lists.extras.set(this.lists.ids.length - 1, extras);
    this.#characters += (extras.headers?.length ?? 0) + (extras.properties?.length ?? 0);
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
  const extras = lists.extras.get(index);
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
