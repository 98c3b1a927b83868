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
import { isQueueError, QueueError } from '../../errors.js';
import type { RabbitMqAddress } from '../address.js';
import { credentialsFor, tlsOf } from '../connection/log-in.js';
import type { RabbitMqSettings } from '../options.js';
import type { QueueCounts } from '../topology/topology.js';
import { CHANNEL_COLUMNS, CONNECTION_COLUMNS, consumersIn, consumersOf, listOf } from './listed-consumers.js';
import {
  COLUMNS,
  deadLetterQueueOf,
  infoOf,
  isLadder,
  type ListedQueue,
  numberOf,
  retriedQueue,
} from './listed-queue.js';
import { mayBeUsed, RETRYING_COLUMNS, waitQueuesOf } from './listed-wait-queues.js';
import { getJson, getPages, type ManagementAccess, unusable } from './management-api.js';

/** 100,000 queues. */
const MAX_PAGES = 200;
/** 5000 connections, and as many channels; less is known about the rest. */
const MAX_PAGES_OF_CLIENTS = 10;

/** For one response of a given address, or of the usual port, where there may be no server. */
const LIMIT_MS = { given: 30_000, usual: 5_000 };

/** How long the usual port is not tried again after no response. */
const ASK_AGAIN_MS = 10_000;

/** The management API of a broker: at the address that was given, else at the usual port of the broker's host. */
export class Management {
  readonly #address: () => RabbitMqAddress;
  readonly #settings: RabbitMqSettings;
  #refusal: { readonly error: QueueError; readonly until: number } | undefined;
  #hasRates: { readonly base: string; readonly value: boolean } | undefined;

  /** `address`: of the currently connected broker. */
  constructor(address: () => RabbitMqAddress, settings: RabbitMqSettings) {
    this.#address = address;
    this.#settings = settings;
  }

  /** All queues of the virtual host. Rejects: `UNSUPPORTED`, `ACCESS_REFUSED`, `TIMEOUT`. */
  async list({ match, internal, limit }: QueuesRequest, wait: WaitOptions): Promise<QueueList> {
    const all = await this.#ask(wait, (access) => this.#listed(access, '', wait));
    const byQueue = new Map(all.queues.map((queue) => [queue.name, queue]));
    const waiting = new Map<string, ListedQueue[]>();
    let parked = 0;
    for (const queue of all.queues) {
      if (isLadder(queue)) parked += numberOf(queue.messages) ?? 0;
      const retried = retriedQueue(queue, byQueue);
      if (retried === undefined) continue;
      const others = waiting.get(retried);
      if (others === undefined) waiting.set(retried, [queue]);
      else others.push(queue);
    }
    const found = all.queues
      .filter(({ name }) => name.includes(match))
      .map((queue) => {
        const deadLetterQueue = deadLetterQueueOf(queue, (name) => byQueue.has(name));
        const dead = byQueue.get(deadLetterQueue ?? '');
        const { hasRates } = all;
        return infoOf(queue, { waiting: waiting.get(queue.name) ?? [], dead, deadLetterQueue, hasRates });
      })
      .filter((queue) => internal || !queue.internal)
      .sort(byName);
    return { queues: found.slice(0, limit), total: found.length + all.unread, parked };
  }

  /** All wait queues of the virtual host. Rejects as `list` does. */
  async waitQueues(wait: WaitOptions): Promise<WaitQueue[]> {
    const { vhost } = this.#address();
    const [{ queues }, consumers] = await this.#ask(wait, async (access) => [
      await this.#listed(access, '', wait),
      await getJson(access, `consumers/${segment(vhost)}?columns=${RETRYING_COLUMNS}`, wait.signal),
    ]);
    return waitQueuesOf(queues, listOf(consumers)).sort(byName);
  }

  /** Whether any of the `count` consumers of its queue may use a wait queue. Rejects as `list` does. */
  async mayBeUsed({ name, queue }: WaitQueue, count: number, wait: WaitOptions): Promise<boolean> {
    if (count === 0) return false;
    const path = `queues/${segment(this.#address().vhost)}/${segment(queue)}?columns=consumer_details`;
    const answer = await this.#ask(wait, (access) => getJson(access, path, wait.signal));
    return mayBeUsed(name, count, consumersIn(answer));
  }

  /**
   * One queue; undefined if the API does not know it yet. `counts`: newer ones than the API's. Rejects as `list` does.
   */
  async queue(name: string, counts: QueueCounts, wait: WaitOptions): Promise<QueueInfo | undefined> {
    const { queues, hasRates } = await this.#ask(wait, (access) =>
      this.#listed(access, `&use_regex=true&name=${encodeURIComponent(ownAndRetries(name))}`, wait),
    );
    const byQueue = new Map(queues.map((queue) => [queue.name, queue]));
    const listed = byQueue.get(name);
    if (listed === undefined) return undefined;
    const queue = { ...listed, messages_ready: counts.ready, consumers: counts.consumers };
    const waiting = queues.filter((other) => retriedQueue(other, byQueue) === name);
    const deadLetterQueue = deadLetterQueueOf(queue, (other) => byQueue.has(other));
    const dead =
      typeof deadLetterQueue !== 'string'
        ? undefined
        : (byQueue.get(deadLetterQueue) ??
          (await this.#ask(wait, (access) => this.#one(access, deadLetterQueue, wait))));
    return infoOf(queue, { waiting, dead, deadLetterQueue, hasRates });
  }

  /** The consumers of the virtual host, or of one queue. Rejects as `list` does. */
  async consumers({ queue, limit }: ConsumersRequest, wait: WaitOptions): Promise<ConsumerList> {
    const vhost = segment(this.#address().vhost);
    const clients = async (access: ManagementAccess, path: string) =>
      (await getPages(access, path, MAX_PAGES_OF_CLIENTS, wait.signal)).items;
    const [consumers, channels, connections] = await this.#ask(wait, async (access) => {
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
    const ofThis = consumers.filter((consumer) => consumer?.queue?.vhost === this.#address().vhost);
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
    if (!this.#settings.managementUrl) return undefined;
    const access = await this.#access(wait);
    const path = `queues/${segment(this.#address().vhost)}/${segment(queue)}/bindings`;
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

  async #one(access: ManagementAccess, name: string, wait: WaitOptions): Promise<ListedQueue | undefined> {
    const path = `queues/${segment(this.#address().vhost)}/${segment(name)}?columns=${COLUMNS}`;
    return (await getJson(access, path, wait.signal)) as ListedQueue | undefined;
  }

  async #listed(
    access: ManagementAccess,
    filter: string,
    wait: WaitOptions,
  ): Promise<{
    readonly queues: readonly ListedQueue[];
    /** Queues beyond those, which were not read. */
    readonly unread: number;
    readonly hasRates: boolean;
  }> {
    const { vhost } = this.#address();
    const hasRates = await this.#countsRates(access, wait);
    // An empty name in the path would list all virtual hosts; those of others are filtered out below.
    const path = `queues/${segment(vhost)}?sort=name&columns=${COLUMNS}${filter}`;
    const { items, unread } = await getPages(access, path, MAX_PAGES, wait.signal);
    // By name: a queue that is declared meanwhile pushes others to the next page, which has them a second time.
    const queues = new Map<string, ListedQueue>();
    for (const item of items as readonly Partial<ListedQueue>[])
      if (typeof item.name === 'string' && item.vhost === vhost) queues.set(item.name, item as ListedQueue);
    return { queues: [...queues.values()], unread, hasRates };
  }

  /** Whether the server counts rates (`rates_mode`), which its configuration may forbid. */
  async #countsRates(access: ManagementAccess, wait: WaitOptions): Promise<boolean> {
    const base = access.base.href;
    if (this.#hasRates?.base !== base) {
      const overview = await getJson(access, 'overview?columns=rates_mode,disable_stats', wait.signal);
      const { rates_mode: mode, disable_stats: disabled } = (overview ?? {}) as Record<string, unknown>;
      this.#hasRates = { base, value: mode !== 'none' && disabled !== true };
    }
    return this.#hasRates.value;
  }

  async #ask<T>(wait: WaitOptions, ask: (access: ManagementAccess) => Promise<T>): Promise<T> {
    const refusal = this.#refusal;
    if (refusal !== undefined && performance.now() < refusal.until) throw refusal.error;
    try {
      return await ask(await this.#access(wait));
    } catch (error) {
      if (isQueueError(error, 'UNSUPPORTED') && wait.signal?.aborted !== true) {
        this.#refusal = { error, until: performance.now() + ASK_AGAIN_MS };
      }
      throw error;
    }
  }

  async #access({ signal = new AbortController().signal }: WaitOptions): Promise<ManagementAccess> {
    const { managementUrl } = this.#settings;
    const address = this.#address();
    if (managementUrl === false) {
      throw new QueueError(
        'UNSUPPORTED',
        'listing queues requires the management API of RabbitMQ, which managementUrl: false disables',
      );
    }
    const tls = tlsOf(address, this.#settings);
    const isGiven = managementUrl !== undefined;
    const base = isGiven ? new URL(managementUrl.pathname, managementUrl.origin) : usualAddress(address);
    const timeoutMs = isGiven ? LIMIT_MS.given : LIMIT_MS.usual;
    if (managementUrl?.username) {
      const [username, password] = [decoded(managementUrl.username), decoded(managementUrl.password)];
      return { base, username, password, tls, timeoutMs, isGiven };
    }
    if (address.authMechanism === 'external') {
      throw new QueueError(
        'UNSUPPORTED',
        'the management API needs a user and a password, but the connection logs in by certificate: give them in managementUrl',
      );
    }
    const { username = address.username, password } = await credentialsFor(address, this.#settings, signal);
    return { base, username, password, tls, timeoutMs, isGiven };
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

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A password that is encrypted on its way to the broker is not sent to the API in the clear. */
function usualAddress({ tls, host }: RabbitMqAddress): URL {
  const name = host.includes(':') ? `[${host}]` : host;
  return new URL(tls ? `https://${name}:15671/` : `http://${name}:15672/`);
}

/** A name as one segment of a path. */
function segment(name: string): string {
  const encoded = encodeURIComponent(name);
  return /^\.+$/.test(encoded) ? encoded.replaceAll('.', '%2E') : encoded;
}

/** A regular expression for the names of a queue, of its wait queues and of its usual dead-letter queue. */
function ownAndRetries(name: string): string {
  return `^${name.replace(/[^\p{L}\p{N}]/gu, (character) => (character > '~' ? '.+' : `\\${character}`))}(\\.retry\\.((step\\.)?\\d+|ready)|\\.dead)?$`;
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
