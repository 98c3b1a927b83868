import type { ConsumerList, QueueConsumer } from '../../../../broker.js';
import { byName, type ConsumersRequest } from '../../../../common/operator/operator-requests.js';
import type { Database } from '../database.js';
import { queueNamed } from '../queue-definition.js';
import type { QueueTable } from '../queue-table.js';
import type { Statements } from '../sqlite.js';

const SUBSCRIBERS = `SELECT s.queue, s.owner, s.count, s.since, s.settled_at, o.pid, o.host
  FROM subscribers s JOIN owners o ON o.id = s.owner AND o.gone = 0`;

const SQL = {
  all: SUBSCRIBERS,
  // Few: as many as processes that take messages.
  ofQueue: `${SUBSCRIBERS} WHERE s.queue = ?`,
  // Few, regardless of the size of the queues: only as many as the subscribers' prefetch.
  unsettled: `SELECT queue, owner, count(*) FROM messages INDEXED BY handled WHERE owner IS NOT NULL GROUP BY queue, owner`,
};

const UNKNOWN: ConsumerList['unknown'] = Object.freeze({
  host: 'the process has an older version of millrace, which did not tell it',
  since: 'the process has an older version of millrace, which did not tell it',
});

/** The consumers of the queues of the folder. */
export class ConsumerView {
  readonly #queues: QueueTable;
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database, queues: QueueTable) {
    this.#queues = queues;
    this.#sql = database.prepareAll(SQL);
  }

  /** Throws `QUEUE_MISSING`. */
  list({ queue: name, limit }: ConsumersRequest): ConsumerList {
    const rows =
      name === undefined ? this.#sql.all.all() : this.#sql.ofQueue.all(queueNamed(this.#queues, name).id);
    const unsettled = new Map(
      this.#sql.unsettled.all().map(([queue, owner, count]) => [`${queue} ${owner}`, Number(count)]),
    );
    const consumers: QueueConsumer[] = [];
    for (const [id, owner, count, since, settledAt, pid, host] of rows) {
      const queue = this.#queues.byId(Number(id));
      if (queue === undefined) continue;
      consumers.push({
        queue: queue.spec.name,
        pid: Number(pid),
        host: typeof host === 'string' ? host : undefined,
        connection: undefined,
        subscriptions: Number(count),
        since: typeof since === 'number' ? since : undefined,
        unsettled: unsettled.get(`${id} ${owner}`) ?? 0,
        settledAt: typeof settledAt === 'number' ? settledAt : undefined,
      });
    }
    consumers.sort((a, b) => byName({ name: a.queue }, { name: b.queue }) || (a.since ?? 0) - (b.since ?? 0));
    const isOld = consumers.some(({ since }) => since === undefined);
    return { consumers: consumers.slice(0, limit), total: consumers.length, unknown: isOld ? UNKNOWN : {} };
  }
}
