/** The columns of a message that hold its sender's data, their checksum, and how they are written. */
import { crc32 } from 'node:zlib';
import { parseProperties } from '../../message-json.js';
import { extrasAt, type MessageLists } from '../../message-lists.js';
import type { Database } from '../database.js';
import type { QueueTable } from '../queue-table.js';
import type { Row, SqliteValue, Statements } from '../sqlite.js';

/** A message as its sender made it, in the order of the table's columns: all from `message_id` on. */
export type MessageColumns = readonly [
  messageId: SqliteValue,
  contentType: SqliteValue,
  headers: string | null,
  properties: string | null,
  timestamp: number | null,
  priority: number | null,
  expires: number | null,
  bodyIsText: 1 | null,
  body: string | Uint8Array,
];

/** Their names. */
export const COLUMNS =
  'message_id, content_type, headers, properties, timestamp, priority, expires, body_is_text, body';

/**
 * The values of a row from a position on, which may have any types if it is damaged. By index: the iterator of a
 * pattern costs as much as all the rest.
 */
export function columnsOf(row: Row, at: number): MessageColumns {
  return [
    textOrBytes(row[at]),
    textOrBytes(row[at + 1]),
    textOrNull(row[at + 2]),
    textOrNull(row[at + 3]),
    numberOrNull(row[at + 4]),
    numberOrNull(row[at + 5]),
    numberOrNull(row[at + 6]),
    row[at + 7] === 1 ? 1 : null,
    textOrBytes(row[at + 8]),
  ];
}

/** The columns of a message on its way to the store. */
export function columnsAt(lists: MessageLists, index: number, body: string | Uint8Array): MessageColumns {
  const extras = extrasAt(lists, index);
  const hasNul = typeof body === 'string' && body.includes(NUL);
  return [
    textColumn(lists.ids[index] as string),
    textColumn(lists.contentTypes[index] as string),
    extras?.headers ?? null,
    extras?.properties ?? null,
    lists.timestamps[index] ?? null,
    lists.priorities[index] ?? null,
    extras?.expiresAt ?? null,
    hasNul ? 1 : null,
    hasNul ? Buffer.from(body) : body,
  ];
}

const NUL = '\0';

/** A text with NUL in it is stored as a blob: some SQLite packages for Node truncate it there. */
function textColumn(text: string): SqliteValue {
  return text.includes(NUL) ? Buffer.from(text) : text;
}

function textOrBytes(value: Row[number]): string | Uint8Array {
  return typeof value === 'string' || value instanceof Uint8Array ? value : String(value);
}

function textOrNull(value: Row[number]): string | null {
  return typeof value === 'string' ? value : null;
}

function numberOrNull(value: Row[number]): number | null {
  return typeof value === 'number' ? value : null;
}

/**
 * The checksum of a stored message: of its sender's data and its queue, so that bits that change on the disk reach no
 * handler. It does not cover the position in the queue and the number of attempts.
 *
 * It is made of three parts, joined by exclusive or: one of what never changes, one of the headers and one of the place.
 * So it can be adapted to other headers or another queue without the body, and without making a damaged message good.
 */
export function checksumOf(queue: number, columns: MessageColumns): number {
  return placed(contentChecksum(columns), queue, columns);
}

/** The parts that are equal in all queues with the message. */
function contentChecksum(columns: MessageColumns): number {
  const body = columns[8];
  const kind = typeof body === 'string' ? 'text' : 'bytes';
  let head = `${textOf(columns[0])}\n${textOf(columns[1])}\n${columns[4]}\n${kind}\n`;
  if (columns[3] !== null || columns[5] !== null || columns[7] !== null)
    head += `${columns[3]}\n${columns[5]}\n${columns[7]}\n`;
  const fixed = typeof body === 'string' ? crc32(head + body) : crc32OfBytes(body, crc32(head));
  return fixed ^ textChecksum(columns[2]);
}

/** For no bytes zlib returns 0, or the initial value, depending on whether they have an address in memory. */
function crc32OfBytes(bytes: Uint8Array, begin: number): number {
  return bytes.length === 0 ? begin : crc32(bytes, begin);
}

/** A text with NUL in it is stored as bytes. */
function textOf(value: SqliteValue): SqliteValue {
  return value instanceof Uint8Array ? Buffer.from(value).toString() : value;
}

/** The part of the headers. */
export function textChecksum(headers: string | null): number {
  return headers === null ? 0 : crc32(headers);
}

/** The part of the queue, and of the time at which the message expires. */
export function placeChecksum(queue: number, expires: unknown): number {
  // Neighbors differ in many bits.
  if (expires === null) return Math.imul(queue, 0x9e3779b1);
  return crc32(`${queue} ${expires}`);
}

/** The form in which a damaged message is kept: with headers that say so, and without unreadable properties. */
export function salvaged(damaged: MessageColumns, headers: string): MessageColumns {
  const [messageId, contentType, , properties, timestamp, priority, , bodyIsText, body] = damaged;
  const kept = isReadable(properties) ? properties : null;
  return [messageId, contentType, headers, kept, timestamp, priority, null, bodyIsText, body];
}

function isReadable(properties: string | null): boolean {
  try {
    parseProperties(properties);
    return true;
  } catch {
    return false;
  }
}

/** This many messages are stored by one statement, at half the cost, if most of their columns are equal. */
const ALIKE = 16;

const ALIKE_ROWS = Array.from({ length: ALIKE }, (_, index) => `(${index}, ?, ?, ?, ?)`).join(', ');

const SQL = {
  // Node 22 takes bytes of which there are none for null; up to 22.16 at least it can't bind parameters with numbers.
  insert: `INSERT INTO messages (id, queue, rank, place, checksum, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ifnull(?, x''))`,
  delay: 'UPDATE messages SET delayed = ?, due = ? WHERE id = ?',
  insertAlike: `INSERT INTO messages (id, place, queue, rank, content_type, headers, properties, priority, expires, message_id, timestamp, checksum, body)
    SELECT first + column1, first + column1, queue, rank, content_type, headers, properties, priority, expires, column2, column3, column4, column5
    FROM (SELECT ? AS first, ? AS queue, ? AS rank, ? AS content_type, ? AS headers, ? AS properties, ? AS priority, ? AS expires)
    CROSS JOIN (VALUES ${ALIKE_ROWS})`,
};

/** Writes new messages: many similar ones at once. */
export class MessageInserts {
  readonly #numbers: Pick<QueueTable, 'nextNumber' | 'nextNumbers'>;
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database, numbers: Pick<QueueTable, 'nextNumber' | 'nextNumbers'>) {
    this.#numbers = numbers;
    this.#sql = database.prepareAll(SQL);
  }

  /** Each of the rows, in each of the queues. */
  run(queueIds: readonly number[], rank: number, rows: readonly MessageColumns[]): void {
    const checksums = rows.map(contentChecksum);
    const alike = new Set<number>();
    for (let next = 0; next < rows.length; ) {
      const isAlike = areAlike(rows, next);
      if (isAlike) alike.add(next);
      next += isAlike ? ALIKE : 1;
    }
    for (const queueId of queueIds) {
      for (let next = 0; next < rows.length; ) {
        const isAlike = alike.has(next);
        if (isAlike) this.#insertAlike(queueId, rank, rows, checksums, next);
        else this.#one(queueId, rank, rows[next] as MessageColumns, checksums[next] as number);
        next += isAlike ? ALIKE : 1;
      }
    }
  }

  /** False if it is due already. */
  delayed(queueId: number, rank: number, row: MessageColumns, dueAt: number): boolean {
    const now = Date.now();
    const number = this.#one(queueId, rank, row, contentChecksum(row));
    if (dueAt <= now) return false;
    this.#sql.delay.run(now, dueAt, number);
    return true;
  }

  /** Returns its number. */
  #one(queueId: number, rank: number, row: MessageColumns, checksum: number): number {
    const number = this.#numbers.nextNumber();
    this.#sql.insert.run(number, queueId, rank, number, placed(checksum, queueId, row), ...row);
    return number;
  }

  #insertAlike(
    queueId: number,
    rank: number,
    rows: readonly MessageColumns[],
    checksums: readonly number[],
    first: number,
  ): void {
    const common = rows[first] as MessageColumns;
    const values: SqliteValue[] = [this.#numbers.nextNumbers(ALIKE), queueId, rank];
    values.push(common[1], common[2], common[3], common[5], common[6]);
    for (let index = first; index < first + ALIKE; index++) {
      const row = rows[index] as MessageColumns;
      values.push(row[0], row[4], placed(checksums[index] as number, queueId, row), row[8]);
    }
    this.#sql.insertAlike.run(...values);
  }
}

/** The checksum of a message in that queue. */
function placed(content: number, queueId: number, columns: MessageColumns): number {
  return (content ^ placeChecksum(queueId, columns[6])) >>> 0;
}

/** Whether that many rows from this one on differ only in number, time and body. By index, as above. */
function areAlike(rows: readonly MessageColumns[], first: number): boolean {
  if (first + ALIKE > rows.length) return false;
  const common = rows[first] as MessageColumns;
  for (let index = first; index < first + ALIKE; index++) {
    const row = rows[index] as MessageColumns;
    if (row[7] !== null || row[8].length === 0) return false;
    if (row[1] !== common[1] || row[2] !== common[2] || row[3] !== common[3]) return false;
    if (row[5] !== common[5] || row[6] !== common[6]) return false;
  }
  return true;
}
