import type { Message } from '../../broker.js';

/**
 * A message as bytes, the same on disk and between the threads:
 *
 *   byte 0      version of this layout
 *   byte 1      flags: which of the optional properties are there, and whether the body is text
 *   byte 2      priority
 *   3 to 10     timestamp, a double
 *   11 to 30    lengths of id, content type, headers (JSON), correlation id, reply-to; 32 bits each
 *   from 31     these five as UTF-8, then the body up to the end
 *
 * All numbers are little-endian.
 */
const VERSION = 1;
const FIXED_BYTES = 31;

const TEXT_BODY = 1;
const HAS_TIMESTAMP = 2;
const HAS_PRIORITY = 4;
const HAS_CORRELATION_ID = 8;
const HAS_REPLY_TO = 16;

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/** Longer text is measured before room is made for it; shorter text gets room for its worst case, which is quicker. */
const LONG_TEXT = 4096;

function roomFor(text: string): number {
  return text.length > LONG_TEXT ? Buffer.byteLength(text) : text.length * 3;
}

/** Records one after the other in a buffer that grows, to be handed over whole. */
export class RecordWriter {
  #buffer: Buffer<ArrayBuffer>;
  #length = 0;

  constructor(bytes: number) {
    this.#buffer = allocate(bytes);
  }

  /** How many bytes were written. */
  get length(): number {
    return this.#length;
  }

  /** What was written. The buffer is its own `ArrayBuffer`, so it may be transferred to another thread. */
  get bytes(): Buffer<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  append(message: Message): void {
    const { id, contentType, body, timestamp, priority, correlationId, replyTo } = message;
    const headers = headersText(message.headers);
    const start = this.#length;
    this.#reserve(
      FIXED_BYTES +
        roomFor(id) +
        roomFor(contentType) +
        roomFor(headers) +
        roomFor(correlationId ?? '') +
        roomFor(replyTo ?? '') +
        (typeof body === 'string' ? roomFor(body) : body.byteLength),
    );
    const buffer = this.#buffer;
    buffer[start] = VERSION;
    buffer[start + 1] =
      (typeof body === 'string' ? TEXT_BODY : 0) |
      (timestamp === undefined ? 0 : HAS_TIMESTAMP) |
      (priority === undefined ? 0 : HAS_PRIORITY) |
      (correlationId === undefined ? 0 : HAS_CORRELATION_ID) |
      (replyTo === undefined ? 0 : HAS_REPLY_TO);
    buffer[start + 2] = priority ?? 0;
    buffer.writeDoubleLE(timestamp ?? 0, start + 3);
    let end = start + FIXED_BYTES;
    end = this.#text(id, start + 11, end);
    end = this.#text(contentType, start + 15, end);
    end = this.#text(headers, start + 19, end);
    end = this.#text(correlationId ?? '', start + 23, end);
    end = this.#text(replyTo ?? '', start + 27, end);
    if (typeof body === 'string') {
      end += buffer.write(body, end);
    } else {
      buffer.set(body, end);
      end += body.byteLength;
    }
    this.#length = end;
  }

  /** Takes over a record, or what may be one, as it is. */
  appendBytes(record: Uint8Array): void {
    this.#reserve(record.byteLength);
    this.#buffer.set(record, this.#length);
    this.#length += record.byteLength;
  }

  #text(text: string, lengthAt: number, at: number): number {
    const bytes = text === '' ? 0 : this.#buffer.write(text, at);
    this.#buffer.writeUInt32LE(bytes, lengthAt);
    return at + bytes;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.byteLength) return;
    const larger = allocate(Math.max(needed, this.#buffer.byteLength * 2));
    larger.set(this.bytes);
    this.#buffer = larger;
  }
}

/** Not from Node's pool, whose memory is shared by many buffers and can't be transferred. */
function allocate(bytes: number): Buffer<ArrayBuffer> {
  return Buffer.from(new ArrayBuffer(bytes));
}

export function encodeRecord(message: Message): Uint8Array {
  const writer = new RecordWriter(256);
  writer.append(message);
  return writer.bytes;
}

/** Throws on bytes that are no record. The message shares no memory with them. */
export function decodeRecord(record: Buffer): Message {
  if (record.byteLength < FIXED_BYTES || record[0] !== VERSION) {
    throw new TypeError(`${record.byteLength} bytes that are no message record of version ${VERSION}`);
  }
  const flags = record[1] ?? 0;
  let end = FIXED_BYTES;
  const text = (lengthAt: number): string => {
    const start = end;
    end += record.readUInt32LE(lengthAt);
    if (end > record.byteLength) throw new TypeError('a message record that is shorter than it says');
    return start === end ? '' : record.toString('utf8', start, end);
  };
  const id = text(11);
  const contentType = text(15);
  const headers = parseHeaders(text(19));
  const correlationId = text(23);
  const replyTo = text(27);
  return {
    id,
    contentType,
    headers,
    body: flags & TEXT_BODY ? record.toString('utf8', end) : new Uint8Array(record.subarray(end)),
    timestamp: flags & HAS_TIMESTAMP ? record.readDoubleLE(3) : undefined,
    priority: flags & HAS_PRIORITY ? record[2] : undefined,
    correlationId: flags & HAS_CORRELATION_ID ? correlationId : undefined,
    replyTo: flags & HAS_REPLY_TO ? replyTo : undefined,
  };
}

function headersText(headers: Message['headers']): string {
  for (const _ in headers) return JSON.stringify(headers);
  return '';
}

function parseHeaders(text: string): Message['headers'] {
  if (text === '') return NO_HEADERS;
  const headers: unknown = JSON.parse(text);
  const readable =
    typeof headers === 'object' &&
    headers !== null &&
    Object.values(headers).every((value) => typeof value === 'string');
  if (!readable) throw new TypeError('a message record whose headers are no texts');
  return Object.freeze(headers as Record<string, string>);
}
