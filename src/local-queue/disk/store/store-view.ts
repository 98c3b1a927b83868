import type { Message, PeekPage, QueueInfo, QueueList } from '../../../broker.js';
import {
  byName,
  type Cursor,
  cutText,
  MAX_PAGE_BYTES,
  PageWriter,
  type PeekRequest,
  type QueuesRequest,
} from '../../../common/peek.js';
import { localFigures } from '../../local-broker.js';
import { parseHeaders, parseProperties } from '../message-json.js';
import type { CommandResult, ReadCommand } from '../protocol.js';
import type { Database } from './database.js';
import { columnsOf } from './message-columns.js';
import { queueNamed } from './queue-definition.js';
import { capacityOf, type QueueTable, type StoredQueue } from './queue-table.js';
import type { Row, SqliteValue, Statement, Statements } from './sqlite.js';

const IS_READY = 'owner IS NULL AND due IS NULL';

/** Bodies are cut here: one may be larger than all that is to be shown. */
const SHOWN = `m.id, m.rank, m.place, m.due, o.pid, m.attempt, m.redelivered,
  CASE typeof(m.body) WHEN 'blob' THEN length(m.body) ELSE length(CAST(m.body AS BLOB)) END AS body_bytes,
  CASE WHEN typeof(m.body) = 'text' OR m.body_is_text = 1 THEN 1 END AS is_text,
  m.message_id, m.content_type, m.headers, m.properties, m.timestamp, m.priority, m.expires, m.body_is_text,
  substr(CAST(m.body AS BLOB), 1, ?) AS body_begin`;
const FROM = 'LEFT JOIN owners o ON o.id = m.owner WHERE m.queue = ?';

const SQL = {
  counts: 'SELECT held, ready FROM queues WHERE id = ?',
  allCounts: 'SELECT id, held, ready FROM queues WHERE name IS NOT NULL',
  // Few, whatever the queues hold: as many as subscribers have asked for.
  unsettled: 'SELECT count(*) FROM messages INDEXED BY handled WHERE owner IS NOT NULL AND queue = ?',
  allUnsettled:
    'SELECT queue, count(*) FROM messages INDEXED BY handled WHERE owner IS NOT NULL GROUP BY queue',
  subscribers: 'SELECT sum(count) FROM subscribers WHERE queue = ?',
  allSubscribers: 'SELECT queue, sum(count) FROM subscribers GROUP BY queue',
  // From rank to rank by the index: 32 steps at most.
  oldest: `WITH RECURSIVE ranks (rank) AS (
      SELECT max(rank) FROM messages INDEXED BY ready WHERE queue = ?1 AND ${IS_READY}
      UNION ALL
      SELECT (SELECT max(rank) FROM messages INDEXED BY ready WHERE queue = ?1 AND ${IS_READY} AND rank < ranks.rank)
        FROM ranks WHERE ranks.rank IS NOT NULL)
    SELECT min((SELECT timestamp FROM messages INDEXED BY ready
      WHERE queue = ?1 AND ${IS_READY} AND rank = ranks.rank ORDER BY place LIMIT 1)) FROM ranks WHERE rank IS NOT NULL`,
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

/** What operators see of the store. Only reads: the caller encloses it in a transaction of its own. */
export class StoreView {
  readonly #queues: QueueTable;
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database, queues: QueueTable) {
    this.#queues = queues;
    this.#sql = database.prepareAll(SQL);
  }

  /** Throws `QUEUE_MISSING`. */
  answer(read: ReadCommand): CommandResult {
    this.#queues.begin();
    switch (read.kind) {
      case 'queues':
        return this.#list(read.request);
      case 'queue':
        return this.#info(queueNamed(this.#queues, read.queue));
      case 'peek':
        return this.#peek(queueNamed(this.#queues, read.queue), read.request);
    }
  }

  #list({ match, limit }: QueuesRequest): QueueList {
    const found = [...this.#queues.all()]
      .map((queue) => ({ name: queue.spec.name, queue }))
      .filter(({ name }) => name.includes(match))
      .sort(byName);
    const counts = new Map(this.#sql.allCounts.all().map(([id, ...rest]) => [Number(id), rest]));
    const unsettled = countsBy(this.#sql.allUnsettled);
    const subscribers = countsBy(this.#sql.allSubscribers);
    const numbersOf = ({ id }: StoredQueue): Numbers => {
      const [held, ready] = counts.get(id) ?? [];
      return {
        held: Number(held ?? 0),
        ready: Number(ready ?? 0),
        unsettled: unsettled.get(id) ?? 0,
        consumers: subscribers.get(id) ?? 0,
      };
    };
    const queues = found.slice(0, limit).map(({ queue }) => this.#infoOf(queue, numbersOf));
    return { queues, total: found.length, parked: 0 };
  }

  #info(queue: StoredQueue): QueueInfo {
    return this.#infoOf(queue, ({ id }) => {
      const [held, ready] = this.#sql.counts.first(id) ?? [];
      return {
        held: Number(held ?? 0),
        ready: Number(ready ?? 0),
        unsettled: this.#sql.unsettled.number(id),
        consumers: this.#sql.subscribers.number(id),
      };
    });
  }

  #infoOf(queue: StoredQueue, numbersOf: (queue: StoredQueue) => Numbers): QueueInfo {
    const { spec, paused, deadLetterQueue } = queue;
    const { held, ready, unsettled, consumers } = numbersOf(queue);
    const dead = this.#queues.deadLetterQueueOf(queue);
    const oldest = ready === 0 ? null : this.#sql.oldest.first(queue.id)?.[0];
    return {
      name: spec.name,
      type: 'local',
      capacity: capacityOf(queue),
      deadLetterQueue: deadLetterQueue ?? null,
      exclusive: spec.exclusive,
      autoDelete: spec.autoDelete,
      paused,
      internal: false,
      ready,
      consumers,
      unsettled,
      delayed: Math.max(0, held - ready - unsettled),
      dead: dead === undefined ? 0 : numbersOf(dead).held,
      ...localFigures(ready, typeof oldest === 'number' ? oldest : Number.POSITIVE_INFINITY),
    };
  }

  #peek(queue: StoredQueue, request: PeekRequest): PeekPage {
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
    // One more byte tells where the last character of a text ends.
    const shown = maxBodyBytes + 1;
    const [major, minor] = after ?? [Number.NEGATIVE_INFINITY, 0];
    if (state === 'unsettled') return this.#sql.handled.all(shown, queue, minor, limit);
    if (state === 'delayed') {
      const due = after === undefined ? 0 : major;
      return this.#sql.delayed.all(shown, queue, due, due, minor, limit);
    }
    if (after === undefined) return this.#sql.ready.all(shown, queue, limit);
    const rows = this.#sql.readyOfRank.all(shown, queue, -major, minor, limit);
    if (rows.length === limit) return rows;
    return [...rows, ...this.#sql.readyBelow.all(shown, queue, -major, limit - rows.length)];
  }
}

interface Numbers {
  readonly held: number;
  readonly ready: number;
  readonly unsettled: number;
  readonly consumers: number;
}

function countsBy(statement: Statement): Map<number, number> {
  return new Map(statement.all().map(([key, count]) => [Number(key), Number(count)]));
}

function peekedOf(row: Row, { state, maxBodyBytes }: PeekRequest) {
  const [id, rank, place, due, pid, attempt, redelivered, bodyBytes, isText] = row;
  const [messageId, contentType, headers, properties, timestamp, priority, expires, , body] = columnsOf(
    row,
    9,
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
    place: placeOf(state, Number(id), Number(rank), Number(place), Number(due)),
  };
}

function placeOf(state: PeekRequest['state'], id: number, rank: number, place: number, due: number): Cursor {
  if (state === 'ready') return [-rank, place];
  return state === 'delayed' ? [due, id] : [0, id];
}

/** What can't be read, since the disk has damaged it or somebody else wrote it, is left out. */
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
