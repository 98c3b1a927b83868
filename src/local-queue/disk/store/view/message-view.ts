import { MAX_PRIORITY, type Message, type PeekPage } from '../../../../broker.js';
import type { PeekRequest } from '../../../../common/operator/operator-requests.js';
import { type Cursor, cutText, MAX_PAGE_BYTES, PageWriter } from '../../../../common/operator/peek-page.js';
import { parseHeaders, parseProperties } from '../../message-json.js';
import type { Database } from '../database.js';
import { columnsOf } from '../messages/message-columns.js';
import type { StoredQueue } from '../queue-table.js';
import type { Row, SqliteValue, Statements } from '../sqlite.js';

/**
 * Bodies are cut here: one may be larger than the whole page. An owner of an older version takes messages without setting
 * `taken_at`, which may then be that of an owner before it.
 */
const SHOWN = `m.id, m.rank, m.place, m.due, o.pid, CASE WHEN o.since IS NOT NULL THEN m.taken_at END AS held_since, m.attempt, m.redelivered,
  CASE typeof(m.body) WHEN 'blob' THEN length(m.body) ELSE length(CAST(m.body AS BLOB)) END AS body_bytes,
  CASE WHEN typeof(m.body) = 'text' OR m.body_is_text = 1 THEN 1 END AS is_text,
  m.message_id, m.content_type, m.headers, m.properties, m.timestamp, m.priority, m.expires, m.body_is_text,
  substr(CAST(m.body AS BLOB), 1, ?) AS body_begin`;
const FROM = 'LEFT JOIN owners o ON o.id = m.owner WHERE m.queue = ?';

const SQL = {
  ready: `SELECT ${SHOWN} FROM messages m INDEXED BY ready ${FROM} AND m.owner IS NULL AND m.due IS NULL
    ORDER BY m.rank DESC, m.place LIMIT ?`,
  readyOfRank: `SELECT ${SHOWN} FROM messages m INDEXED BY ready ${FROM} AND m.owner IS NULL AND m.due IS NULL
    AND m.rank = ? AND m.place > ? ORDER BY m.place LIMIT ?`,
  readyBelow: `SELECT ${SHOWN} FROM messages m INDEXED BY ready ${FROM} AND m.owner IS NULL AND m.due IS NULL
    AND m.rank < ? ORDER BY m.rank DESC, m.place LIMIT ?`,
  delayed: `SELECT ${SHOWN} FROM messages m INDEXED BY due ${FROM} AND m.due IS NOT NULL
    AND m.due >= ? AND (m.due > ? OR m.id > ?) ORDER BY m.due, m.id LIMIT ?`,
  handled: `SELECT ${SHOWN} FROM messages m INDEXED BY handled ${FROM} AND m.owner IS NOT NULL
    AND m.id > ? ORDER BY m.id LIMIT ?`,
};

/** Reads the messages of a queue, page by page. */
export class MessageView {
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database) {
    this.#sql = database.prepareAll(SQL);
  }

  peek(queue: StoredQueue, request: PeekRequest): PeekPage {
    const { state, limit, maxBodyBytes } = request;
    const page = new PageWriter(request);
    // As many at once as their bodies allow: they are all in memory before the first is shown.
    const portion = Math.max(1, Math.min(limit + 1, Math.floor(MAX_PAGE_BYTES / (maxBodyBytes + 1))));
    for (let end = page.end; ; end = page.end) {
      const rows = this.#rows(queue.id, request, end, portion);
      for (const row of rows) {
        const { place, bodyBytes, ...facts } = peekedOf(row, request);
        if (!page.add(place, { ...facts, state }, bodyBytes)) return page.finish(false);
      }
      if (rows.length < portion) return page.finish(true);
    }
  }

  #rows(
    queue: number,
    { state, maxBodyBytes }: PeekRequest,
    after: Cursor | undefined,
    limit: number,
  ): Row[] {
    // One more byte shows whether the last character of a text is whole.
    const shown = maxBodyBytes + 1;
    const [major, minor] = after ?? [Number.NEGATIVE_INFINITY, 0];
    if (state === 'unsettled') return this.#sql.handled.all(shown, queue, minor, limit);
    if (state === 'delayed') {
      const due = after === undefined ? 0 : major;
      return this.#sql.delayed.all(shown, queue, due, due, minor, limit);
    }
    if (after === undefined) return this.#sql.ready.all(shown, queue, limit);
    const rows = this.#sql.readyOfRank.all(shown, queue, MAX_PRIORITY - major, minor, limit);
    if (rows.length === limit) return rows;
    return [...rows, ...this.#sql.readyBelow.all(shown, queue, MAX_PRIORITY - major, limit - rows.length)];
  }
}

function peekedOf(row: Row, { state, maxBodyBytes }: PeekRequest) {
  const [id, rank, place, due, pid, heldSince, attempt, redelivered, bodyBytes, isText] = row;
  const [messageId, contentType, headers, properties, timestamp, priority, expires, , body] = columnsOf(
    row,
    10,
  );
  const bytes = Buffer.from(body as Uint8Array);
  const message: Message = {
    id: textOf(messageId),
    contentType: textOf(contentType),
    headers: readable(() => parseHeaders(headers)) ?? {},
    body: isText === 1 ? cutText(bytes, maxBodyBytes) : bytes,
    timestamp: timestamp ?? undefined,
    priority: priority ?? undefined,
    expiresAt: expires ?? undefined,
    ...readable(() => parseProperties(properties)),
  };
  return {
    message,
    bodyBytes: Number(bodyBytes),
    attempt: Number(attempt),
    redelivered: redelivered === 1,
    dueAt: typeof due === 'number' ? due : undefined,
    holder: state === 'unsettled' && typeof pid === 'number' ? `process ${pid}` : undefined,
    heldSince: state === 'unsettled' && typeof heldSince === 'number' ? heldSince : undefined,
    place: placeOf(state, Number(id), Number(rank), Number(place), Number(due)),
  };
}

function placeOf(state: PeekRequest['state'], id: number, rank: number, place: number, due: number): Cursor {
  if (state === 'ready') return [MAX_PRIORITY - rank, place];
  return state === 'delayed' ? [due, id] : [0, id];
}

/** Unreadable data, damaged by the disk or written by another program, is left out. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** A text with NUL in it is stored as bytes. */
function textOf(value: SqliteValue): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString() : String(value);
}
