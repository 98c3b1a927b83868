import type { Broker, QueueStats } from '../broker.js';
import { ConcurrencyLimit } from '../common/waiting/concurrency-limit.js';
import { isQueueError } from '../errors.js';
import { type Labels, Value, writeAll } from './instruments.js';

/** How long one queue may take to answer. */
const INSPECT_LIMIT_MS = 2000;

/** Queues that a broker is asked for at once: more would only wait for each other, and be late. */
const AT_ONCE = 50;

/** The figures that are read at each scrape: the state of brokers, and of their queues. */
export class StateMetrics {
  readonly #brokers: readonly Broker[];
  /** By name. */
  readonly #queues: readonly string[];
  readonly #connected = new Value(
    'gauge',
    'millrace_link_connected',
    'Whether the broker is connected: 1, else 0.',
  );
  readonly #blocked = new Value(
    'gauge',
    'millrace_link_blocked',
    'Whether the broker accepts no messages: 1, else 0.',
  );
  readonly #counts: Readonly<Record<keyof Broker['counts'], Value>> = {
    resent: new Value(
      'counter',
      'millrace_resent_messages_total',
      'Messages sent again after a lost connection.',
    ),
    disconnected: new Value(
      'counter',
      'millrace_disconnections_total',
      'Lost connections and failed attempts.',
    ),
    blocked: new Value(
      'counter',
      'millrace_blocks_total',
      'How often the broker stopped accepting messages.',
    ),
    unsubscribed: new Value(
      'counter',
      'millrace_unsubscriptions_total',
      'Subscriptions that the broker ended.',
    ),
    resubscribed: new Value('counter', 'millrace_resubscriptions_total', 'Subscriptions that were renewed.'),
  };
  readonly #ready = new Value('gauge', 'millrace_queue_ready', 'Messages that are ready to be delivered.');
  readonly #consumers = new Value('gauge', 'millrace_queue_consumers', 'Subscribers, of all processes.');
  readonly #delayed = new Value(
    'gauge',
    'millrace_queue_delayed',
    'Messages waiting for a retry or for their due time.',
  );
  readonly #unsettled = new Value('gauge', 'millrace_queue_unsettled', 'Messages that are being handled.');
  readonly #dead = new Value('gauge', 'millrace_queue_dead', 'Messages in the dead-letter queue.');
  readonly #age = new Value(
    'gauge',
    'millrace_queue_oldest_age_seconds',
    'The age of the oldest ready message.',
  );
  readonly #unknown = new Value(
    'counter',
    'millrace_queue_inspect_errors_total',
    'Queues that could not be inspected.',
  );
  readonly #links = [this.#connected, this.#blocked, ...Object.values(this.#counts)];
  readonly #gauges = [this.#ready, this.#consumers, this.#delayed, this.#unsettled, this.#dead, this.#age];
  #reading: Promise<void> | undefined;

  constructor(brokers: readonly Broker[], queues: readonly string[]) {
    this.#brokers = brokers;
    this.#queues = queues;
  }

  async write(): Promise<string> {
    // Concurrent callers share one request.
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
    return writeAll([...this.#links, ...this.#gauges, this.#unknown]);
  }

  async #read(): Promise<void> {
    // A broker that has moved on to another of its addresses is one series, not two.
    for (const metric of [...this.#links, ...this.#gauges]) metric.clear();
    for (const url of new Set(this.#brokers.map((broker) => broker.url))) {
      this.#readLinks(
        url,
        this.#brokers.filter((broker) => broker.url === url),
      );
    }
    await Promise.all(this.#brokers.map((broker) => this.#readQueues(broker)));
  }

  /** Several brokers at one address are one series: their counts are added up, and one that is away shows. */
  #readLinks(url: string, brokers: readonly Broker[]): void {
    const labels = { broker: url };
    const isConnected = ({ state }: Broker) => state === 'connected' || state === 'blocked';
    this.#connected.set(labels, brokers.every(isConnected) ? 1 : 0);
    this.#blocked.set(labels, brokers.some(({ state }) => state === 'blocked') ? 1 : 0);
    for (const { counts } of brokers)
      for (const [name, counter] of Object.entries(this.#counts))
        counter.add(labels, counts[name as keyof typeof counts]);
  }

  async #readQueues(broker: Broker): Promise<void> {
    if (broker.state === 'closed' || broker.state === 'connecting') return;
    const limit = new ConcurrencyLimit(AT_ONCE);
    // The others would not be in time either, and are left out.
    let isLate = false;
    for (const queue of this.#queues) {
      const labels = { broker: broker.url, messaging_destination_name: queue };
      await limit.begin(async () => {
        try {
          if (isLate) this.#unknown.add(labels);
          else this.#add(labels, await broker.inspect(queue, { timeoutMs: INSPECT_LIMIT_MS }));
        } catch (error) {
          isLate ||= isQueueError(error, 'TIMEOUT');
          this.#unknown.add(labels);
        }
      });
    }
    await limit.ended();
  }

  /** Figures that a backend can't know are omitted. */
  #add(labels: Labels, stats: QueueStats): void {
    const sum = (one: number, other: number) => one + other;
    const set = (gauge: Value, value: number | undefined, join = sum) => {
      if (value !== undefined) gauge.set(labels, value, join);
    };
    set(this.#ready, stats.ready);
    set(this.#consumers, stats.consumers);
    set(this.#delayed, stats.delayed);
    set(this.#unsettled, stats.unsettled);
    set(this.#dead, stats.dead);
    set(this.#age, stats.oldestAgeMs === undefined ? undefined : stats.oldestAgeMs / 1000, Math.max);
  }
}
