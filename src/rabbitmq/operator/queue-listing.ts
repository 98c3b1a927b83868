/** Reads lists of queues from the management API: all of a virtual host, or those that a filter selects. */
import type { WaitOptions } from '../../broker.js';
import { DELAY_PREFIX } from '../wire/origin.js';
import { COLUMNS, deadLetterQueueOf, type ListedQueue, type ServerStatistics } from './listed-queue.js';
import { getPages, type ManagementAccess, segment } from './management-api.js';
import type { ManagementClient } from './management-client.js';

/** 100,000 queues. */
const MAX_PAGES = 200;

/** AMQP's limit. No queue has a longer name, and servers refuse very long paths. */
const MAX_NAME_BYTES = 255;
/** From here on, the name of a wait queue may begin with a part of its queue's name only. */
const LONG_NAME_BYTES = 200;
/** The length of a pattern. Servers take 8000 bytes of path, and each byte may be encoded as three. */
const MAX_PATTERN_BYTES = 2000;

const LADDERS = `^${DELAY_PREFIX.replaceAll('.', '\\.')}[0-9]+$`;
const RETRIES = '\\.retry\\.((step\\.)?[0-9]+|ready)$';
const LONG_RETRIES = `~[0-9a-f]{16}${RETRIES}`;

export interface ListedQueues {
  readonly byName: Map<string, ListedQueue>;
  /** Queues beyond those, which were not read. */
  readonly unread: number;
  readonly statistics: ServerStatistics;
}

/** Lists queues for one request of an operator. All methods reject as `getPages` does. */
export class QueueListing {
  readonly #client: ManagementClient;
  readonly #access: ManagementAccess;
  readonly #wait: WaitOptions;

  constructor(client: ManagementClient, access: ManagementAccess, wait: WaitOptions) {
    this.#client = client;
    this.#access = access;
    this.#wait = wait;
  }

  /** All queues of the virtual host. */
  all(): Promise<ListedQueues> {
    return this.#read('');
  }

  /**
   * The queues with this text in their name, and others: those in which their retries and delayed messages wait, and
   * their dead-letter queues.
   */
  async matching(text: string): Promise<ListedQueues> {
    // Neither can be in a name, and the server would take line ends out of the text.
    if (text === '' || Buffer.byteLength(text) > MAX_NAME_BYTES || /[\p{Surrogate}\r\n]/u.test(text)) {
      return this.all();
    }
    // It ignores the case of ASCII letters.
    const found = await this.#read(`&name=${encodeURIComponent(text)}`);
    await this.#add(found, [...(hasLongName(found) ? [LONG_RETRIES] : []), LADDERS]);
    await this.#addDeadLetterQueues(found, text);
    return found;
  }

  /** The queue of this name, those in which its retries wait, and its dead-letter queue. */
  async around(name: string): Promise<ListedQueues> {
    const found = await this.#read(regex(`^${literal(name)}(${RETRIES.slice(0, -1)}|\\.dead)?$`));
    if (hasLongName(found)) await this.#add(found, [LONG_RETRIES]);
    await this.#addDeadLetterQueues(found, name);
    return found;
  }

  /** Those of other names than their queue's with `.dead`. */
  async #addDeadLetterQueues(found: ListedQueues, text: string): Promise<void> {
    const missing = new Set<string>();
    for (const queue of found.byName.values()) {
      if (!queue.name.includes(text)) continue;
      const name = deadLetterQueueOf(queue, (other) => found.byName.has(other));
      if (typeof name === 'string' && !found.byName.has(name)) missing.add(`^${literal(name)}$`);
    }
    await this.#add(found, [...missing]);
  }

  /** Adds the queues whose names match any of the patterns. */
  async #add({ byName }: ListedQueues, patterns: readonly string[]): Promise<void> {
    for (let from = 0; from < patterns.length; ) {
      let pattern = patterns[from++] as string;
      while (from < patterns.length && pattern.length + (patterns[from] as string).length < MAX_PATTERN_BYTES)
        pattern += `|${patterns[from++]}`;
      const others = await this.#read(regex(pattern));
      for (const [name, queue] of others.byName) byName.set(name, queue);
    }
  }

  async #read(filter: string): Promise<ListedQueues> {
    const { vhost } = this.#client;
    const statistics = await this.#client.statistics(this.#access, this.#wait);
    // Without statistics, the server counts messages only if it is asked to.
    const totals = statistics.collected ? '' : '&disable_stats=true&enable_queue_totals=true';
    // An empty name in the path would list all virtual hosts; those of others are filtered out below.
    const path = `queues/${segment(vhost)}?sort=name&columns=${COLUMNS}${totals}${filter}`;
    const { items, unread } = await getPages(this.#access, path, MAX_PAGES, this.#wait.signal);
    // By name: a queue that is declared meanwhile pushes others to the next page, which has them a second time.
    const byName = new Map<string, ListedQueue>();
    for (const item of items as readonly Partial<ListedQueue>[])
      if (typeof item.name === 'string' && item.vhost === vhost) byName.set(item.name, withoutNulls(item));
    return { byName, unread, statistics };
  }
}

/** Fields without a value are null in some lists, and missing in others. */
function withoutNulls(item: Partial<ListedQueue>): ListedQueue {
  return Object.fromEntries(
    Object.entries(item).filter(([, value]) => value !== null),
  ) as unknown as ListedQueue;
}

function hasLongName({ byName }: ListedQueues): boolean {
  return [...byName.keys()].some((name) => Buffer.byteLength(name) > LONG_NAME_BYTES);
}

function regex(pattern: string): string {
  return `&use_regex=true&name=${encodeURIComponent(pattern)}`;
}

/** A regular expression for a name. Some characters stand for any: the reader compares names itself. */
function literal(name: string): string {
  return name.replace(/[^\p{L}\p{N}]/gu, (character) => (character > '~' ? '.+' : `\\${character}`));
}
