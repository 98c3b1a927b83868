import type {
  ConsumerList,
  ListedBinding,
  QueueInfo,
  QueueList,
  QueueStats,
  WaitOptions,
  WaitQueue,
} from '../../broker.js';
import {
  byName,
  type ConsumersRequest,
  type QueuesRequest,
} from '../../common/operator/operator-requests.js';
import { quote } from '../../common/options.js';
import { RPC_LIMIT_MS, within } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import type { QueueCounts } from '../topology/topology.js';
import { CHANNEL_COLUMNS, CONNECTION_COLUMNS, consumersIn, consumersOf, listOf } from './listed-consumers.js';
import {
  deadLetterQueueOf,
  infoOf,
  isLadder,
  type ListedQueue,
  NO_STATISTICS,
  numberOf,
  retriedQueue,
} from './listed-queue.js';
import { mayBeUsed, RETRYING_COLUMNS, waitQueuesOf } from './listed-wait-queues.js';
import { getJson, getPages, type ManagementAccess, segment, unusable } from './management-api.js';
import type { ManagementClient } from './management-client.js';
import { type ListedQueues, QueueListing } from './queue-listing.js';

/** 5000 connections, and as many channels; less is known about the rest. */
const MAX_PAGES_OF_CLIENTS = 10;

/** What an operator learns from the management API of a broker. */
export class Management {
  readonly #client: ManagementClient;

  constructor(client: ManagementClient) {
    this.#client = client;
  }

  /** The queues of the virtual host. Rejects: `UNSUPPORTED`, `ACCESS_REFUSED`, `TIMEOUT`. */
  async list({ match, internal, limit }: QueuesRequest, wait: WaitOptions): Promise<QueueList> {
    const listed = await this.#lists(wait, (listing) => listing.matching(match));
    const { byName: byQueue, unread, statistics } = listed;
    const waiting = new Map<string, ListedQueue[]>();
    let parked = 0;
    for (const queue of byQueue.values()) {
      if (isLadder(queue)) parked += numberOf(queue.messages) ?? 0;
      const retried = retriedQueue(queue, byQueue);
      if (retried === undefined) continue;
      const others = waiting.get(retried);
      if (others === undefined) waiting.set(retried, [queue]);
      else others.push(queue);
    }
    const found = [...byQueue.values()]
      .filter(({ name }) => name.includes(match))
      .map((queue) => {
        const deadLetterQueue = deadLetterQueueOf(queue, (name) => byQueue.has(name));
        const dead = byQueue.get(deadLetterQueue ?? '');
        return infoOf(queue, { waiting: waiting.get(queue.name) ?? [], dead, deadLetterQueue, statistics });
      })
      .filter((queue) => internal || !queue.internal)
      .sort(byName);
    return { queues: found.slice(0, limit), total: found.length + unread, parked };
  }

  /** All wait queues of the virtual host. Rejects as `list` does. */
  async waitQueues(wait: WaitOptions): Promise<WaitQueue[]> {
    await this.#checkStatistics(wait);
    const { byName: byQueue } = await this.#lists(wait, (listing) => listing.all());
    const path = `consumers/${segment(this.#client.vhost)}?columns=${RETRYING_COLUMNS}`;
    const consumers = await this.#client.ask(wait, (access) => getJson(access, path, wait.signal));
    return waitQueuesOf([...byQueue.values()], listOf(consumers)).sort(byName);
  }

  /** Whether any of the `count` consumers of its queue may use a wait queue. Rejects as `list` does. */
  async mayBeUsed({ name, queue }: WaitQueue, count: number, wait: WaitOptions): Promise<boolean> {
    if (count === 0) return false;
    const path = `queues/${segment(this.#client.vhost)}/${segment(queue)}?columns=consumer_details`;
    const answer = await this.#client.ask(wait, (access) => getJson(access, path, wait.signal));
    return mayBeUsed(name, count, consumersIn(answer));
  }

  /**
   * One queue; undefined if the API does not know it yet. `counts`: newer ones than the API's. Rejects as `list` does.
   */
  async queue(name: string, counts: QueueCounts, wait: WaitOptions): Promise<QueueInfo | undefined> {
    const { byName: byQueue, statistics } = await this.#lists(wait, (listing) => listing.around(name));
    const listed = byQueue.get(name);
    if (listed === undefined) return undefined;
    const queue = { ...listed, messages_ready: counts.ready, consumers: counts.consumers };
    const waiting = [...byQueue.values()].filter((other) => retriedQueue(other, byQueue) === name);
    const deadLetterQueue = deadLetterQueueOf(queue, (other) => byQueue.has(other));
    const dead = byQueue.get(deadLetterQueue ?? '');
    return infoOf(queue, { waiting, dead, deadLetterQueue, statistics });
  }

  /** The consumers of the virtual host, or of one queue. Rejects as `list` does. */
  async consumers({ queue, limit }: ConsumersRequest, wait: WaitOptions): Promise<ConsumerList> {
    await this.#checkStatistics(wait);
    const vhost = segment(this.#client.vhost);
    const clients = async (access: ManagementAccess, path: string) =>
      (await getPages(access, path, MAX_PAGES_OF_CLIENTS, wait.signal)).items;
    const [consumers, channels, connections] = await this.#client.ask(wait, async (access) => {
      const path = queue === undefined ? `consumers/${vhost}` : `queues/${vhost}/${segment(queue)}`;
      const answer = await getJson(access, path, wait.signal);
      const consumers = queue === undefined ? listOf(answer) : consumersIn(answer);
      if (consumers.length === 0) return [consumers, [], []] as const;
      return [
        consumers,
        await clients(access, `channels?columns=${CHANNEL_COLUMNS}`),
        await clients(access, `connections?columns=${CONNECTION_COLUMNS}`),
      ] as const;
    });
    const ofThis = consumers.filter((consumer) => consumer?.queue?.vhost === this.#client.vhost);
    return consumersOf(ofThis, channels, connections, limit);
  }

  /**
   * The bindings of a queue, without the one to the default exchange; undefined if no address of the API was given.
   * `inspect` rejects if there is no such queue. Rejects: `UNREACHABLE`, `ACCESS_REFUSED`, `QUEUE_MISSING`, `TIMEOUT`.
   */
  async listBindings(
    queue: string,
    inspect: (queue: string, wait: WaitOptions) => Promise<unknown>,
    wait: WaitOptions,
  ): Promise<readonly ListedBinding[] | undefined> {
    const { timeoutMs = RPC_LIMIT_MS } = wait;
    const action = `listing the bindings of '${queue}'`;
    const listed = await within(this.#bindings(queue, wait), action, { ...wait, timeoutMs });
    // The API lists no bindings for a queue that does not exist.
    if (listed?.length === 0) await inspect(queue, wait);
    return listed;
  }

  async #bindings(queue: string, wait: WaitOptions): Promise<readonly ListedBinding[] | undefined> {
    if (!this.#client.isGiven) return undefined;
    const access = await this.#client.access(wait);
    const path = `queues/${segment(this.#client.vhost)}/${segment(queue)}/bindings`;
    const answer = await getJson(access, path, wait.signal);
    if (answer === undefined) throw new QueueError('QUEUE_MISSING', `there is no queue ${quote(queue)}`);
    if (!Array.isArray(answer) || !answer.every(isBinding))
      throw unusable(access, 'its answer lists no bindings');
    return answer
      .filter(({ source }) => source !== '')
      .map(({ source, routing_key, arguments: given }) => ({
        exchange: source,
        routingKey: routing_key,
        arguments: given ?? {},
      }));
  }

  #lists(wait: WaitOptions, read: (listing: QueueListing) => Promise<ListedQueues>): Promise<ListedQueues> {
    return this.#client.ask(wait, (access) => read(new QueueListing(this.#client, access, wait)));
  }

  /** The lists of consumers are refused, or empty, on a server without statistics. */
  async #checkStatistics(wait: WaitOptions): Promise<void> {
    const { collected } = await this.#client.ask(wait, (access) => this.#client.statistics(access, wait));
    if (!collected)
      throw new QueueError('UNSUPPORTED', `${NO_STATISTICS}, and so does not list its consumers`);
  }
}

interface BindingItem {
  readonly source: string;
  readonly routing_key: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

function isBinding(value: unknown): value is BindingItem {
  if (typeof value !== 'object' || value === null) return false;
  const { source, routing_key } = value as Partial<BindingItem>;
  return typeof source === 'string' && typeof routing_key === 'string';
}

/** Why figures that the management API would report are unknown. */
export function unknownBecause(error: QueueError, stats: QueueStats): QueueStats {
  const unknown = Object.fromEntries(
    Object.entries(stats.unknown).map(([figure, reason]) => [
      figure,
      figure === 'oldestAgeMs' ? reason : error.message,
    ]),
  );
  return { ...stats, unknown };
}
