import type { QueueInfo, QueueList, QueueRates } from '../../../../broker.js';
import { byName, type QueuesRequest } from '../../../../common/operator/operator-requests.js';
import { localFigures } from '../../../local-broker.js';
import type { CommandResult, ReadCommand, Reply } from '../../protocol.js';
import type { Database } from '../database.js';
import { queueNamed } from '../queue-definition.js';
import { capacityOf, type QueueTable, RATE_WINDOW_MS, type StoredQueue } from '../queue-table.js';
import type { Row, Statement, Statements } from '../sqlite.js';
import { storageError } from '../storage-error.js';
import type { WriteLock } from '../write-lock.js';
import { ConsumerView } from './consumer-view.js';
import { MessageView } from './message-view.js';

const IS_READY = 'owner IS NULL AND due IS NULL';

const FLOW =
  'stored, settled, noted_at, noted_stored, noted_settled, earlier_at, earlier_stored, earlier_settled';

const SQL = {
  counts: `SELECT id, held, ready, ${FLOW} FROM queues WHERE id = ?`,
  allCounts: `SELECT id, held, ready, ${FLOW} FROM queues WHERE name IS NOT NULL`,
  // Few, regardless of the size of the queues: only as many as the subscribers' prefetch.
  unsettled: 'SELECT count(*) FROM messages INDEXED BY handled WHERE owner IS NOT NULL AND queue = ?',
  allUnsettled:
    'SELECT queue, count(*) FROM messages INDEXED BY handled WHERE owner IS NOT NULL GROUP BY queue',
  subscribers: 'SELECT sum(count) FROM subscribers WHERE queue = ?',
  allSubscribers: 'SELECT queue, sum(count) FROM subscribers GROUP BY queue',
  // From rank to rank by the index: 32 steps at most.
  oldest: `WITH RECURSIVE ranks (rank) AS (
      SELECT max(rank) FROM messages INDEXED BY ready WHERE queue = ? AND ${IS_READY}
      UNION ALL
      SELECT (SELECT max(rank) FROM messages INDEXED BY ready WHERE queue = ? AND ${IS_READY} AND rank < ranks.rank)
        FROM ranks WHERE ranks.rank IS NOT NULL)
    SELECT min((SELECT timestamp FROM messages INDEXED BY ready
      WHERE queue = ? AND ${IS_READY} AND rank = ranks.rank ORDER BY place LIMIT 1)) FROM ranks WHERE rank IS NOT NULL`,
};

/** The operators' view of the store. It only reads. */
export class StoreView {
  readonly #database: Database;
  readonly #lock: WriteLock;
  readonly #queues: QueueTable;
  readonly #messages: MessageView;
  readonly #consumers: ConsumerView;
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database, lock: WriteLock, queues: QueueTable) {
    this.#database = database;
    this.#lock = lock;
    this.#queues = queues;
    this.#messages = new MessageView(database);
    this.#consumers = new ConsumerView(database, queues);
    this.#sql = database.prepareAll(SQL);
  }

  /** Answers each from a snapshot, without the write lock, so its holder does not block reading. */
  answer(reads: readonly ReadCommand[], reply: Reply): void {
    for (const read of reads) {
      const { id } = read;
      try {
        reply.answers.push({ id, value: this.#lock.alone(() => this.#inSnapshot(() => this.#read(read))) });
      } catch (error) {
        const { code, message } = storageError(error, this.#database.file);
        reply.refused.push({ id, code, message });
      }
    }
  }

  #inSnapshot<T>(read: () => T): T {
    this.#database.exec('BEGIN');
    try {
      return read();
    } finally {
      this.#database.exec('COMMIT');
    }
  }

  /** Throws `QUEUE_MISSING`. */
  #read(read: ReadCommand): CommandResult {
    this.#queues.begin();
    switch (read.kind) {
      case 'queues':
        return this.#list(read.request);
      case 'queue':
        return this.#info(queueNamed(this.#queues, read.queue));
      case 'consumers':
        return this.#consumers.list(read.request);
      case 'peek':
        return this.#messages.peek(queueNamed(this.#queues, read.queue), read.request);
    }
  }

  #list({ match, limit }: QueuesRequest): QueueList {
    const found = [...this.#queues.all()]
      .map((queue) => ({ name: queue.spec.name, queue }))
      .filter(({ name }) => name.includes(match))
      .sort(byName);
    const now = Date.now();
    const counts = new Map(this.#sql.allCounts.all().map((row) => [Number(row[0]), row]));
    const unsettled = countsBy(this.#sql.allUnsettled);
    const subscribers = countsBy(this.#sql.allSubscribers);
    const numbersOf = ({ id }: StoredQueue): Numbers => {
      return {
        ...countsOf(counts.get(id), now),
        unsettled: unsettled.get(id) ?? 0,
        consumers: subscribers.get(id) ?? 0,
      };
    };
    const queues = found.slice(0, limit).map(({ queue }) => this.#infoOf(queue, numbersOf));
    return { queues, total: found.length, parked: 0 };
  }

  #info(queue: StoredQueue): QueueInfo {
    return this.#infoOf(queue, ({ id }) => {
      return {
        ...countsOf(this.#sql.counts.first(id), Date.now()),
        unsettled: this.#sql.unsettled.number(id),
        consumers: this.#sql.subscribers.number(id),
      };
    });
  }

  #infoOf(queue: StoredQueue, numbersOf: (queue: StoredQueue) => Numbers): QueueInfo {
    const { spec, paused, deadLetterQueue } = queue;
    const { held, ready, unsettled, consumers, rates } = numbersOf(queue);
    const dead = this.#queues.deadLetterQueueOf(queue);
    const oldest = ready === 0 ? null : this.#sql.oldest.first(queue.id, queue.id, queue.id)?.[0];
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
      ...localFigures(ready, typeof oldest === 'number' ? oldest : Number.POSITIVE_INFINITY, rates),
    };
  }
}

interface Numbers {
  readonly held: number;
  readonly ready: number;
  readonly unsettled: number;
  readonly consumers: number;
  readonly rates: QueueRates;
}

function countsOf(row: Row = [], now: number): Pick<Numbers, 'held' | 'ready' | 'rates'> {
  const [, held, ready, ...flow] = row.map(Number);
  return { held: held ?? 0, ready: ready ?? 0, rates: ratesOf(flow, now) };
}

/**
 * Over the last five to fifteen seconds. The counts are recorded once in so many seconds, but only while they change:
 * an older record means that they have not changed since.
 */
function ratesOf(flow: readonly number[], now: number): QueueRates {
  const [stored = 0, settled = 0, notedAt = 0, notedStored = 0, notedSettled = 0, ...earlier] = flow;
  const [earlierAt = 0, earlierStored = 0, earlierSettled = 0] = earlier;
  const since = (at: number, storedThen: number, settledThen: number): QueueRates => {
    const seconds = Math.max(now - at, RATE_WINDOW_MS) / 1000;
    return { in: (stored - storedThen) / seconds, out: (settled - settledThen) / seconds };
  };
  if (now - notedAt > 2 * RATE_WINDOW_MS) return { in: 0, out: 0 };
  if (now - notedAt >= RATE_WINDOW_MS || notedAt - earlierAt > 2 * RATE_WINDOW_MS)
    return since(notedAt, notedStored, notedSettled);
  return since(earlierAt, earlierStored, earlierSettled);
}

function countsBy(statement: Statement): Map<number, number> {
  return new Map(statement.all().map(([key, count]) => [Number(key), Number(count)]));
}
