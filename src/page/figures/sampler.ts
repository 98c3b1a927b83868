/** Reads the figures of all queues: once a second while the page is open, and else not at all, or twice a minute. */
import type { Broker, Operator, QueueInfo } from '../../broker.js';
import { operatorOf } from '../../common/backend-of.js';
import { errorText } from '../../common/options.js';
import { settledWithin } from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';
import { deadLetterQueueOf } from '../messages/dead-reader.js';
import { History } from './history.js';
import type { Workers } from './workers.js';

const WATCHED_MS = 1_000;
/** The interval with `history: 'always'`, so that a chart opened at night shows how the problem began. */
const UNWATCHED_MS = 30_000;
const ANSWER_LIMIT_MS = 10_000;
/** A broker with very many queues takes longer to respond: the page uses at most a quarter of its time. */
const SHARE_OF_TIME = 4;
/** The maximum age of the figures in a response, unless sampling takes longer: an open page has newer ones soon. */
const FRESH_MS = 2_000;
/** After this time the page says that the broker does not respond. */
const ANSWER_SOON_MS = 1_000;
const MAX_QUEUES = 100_000;
/** The broker is reachable, but its management API is not, or not for this user. */
const OF_MANAGEMENT = ['UNSUPPORTED', 'UNREACHABLE', 'ACCESS_REFUSED'] as const;

export interface Sample {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly queues: readonly QueueInfo[];
  readonly byName: ReadonlyMap<string, QueueInfo>;
  /** Delayed messages that no queue counts. */
  readonly parked: number;
  /** The names of the queues that hold the dead letters of others. */
  readonly deadLetterQueues: ReadonlySet<string>;
}

const NOTHING: Sample = {
  at: 0,
  queues: [],
  byName: new Map(),
  parked: 0,
  deadLetterQueues: new Set(),
};

/** Why the newest figures are missing. */
export interface SampleError {
  readonly since: number;
  readonly text: string;
  /** The broker is reachable, but can't report this. */
  readonly isUnsupported: boolean;
}

export class Sampler {
  readonly history: History;
  /** The last figures that could be read. */
  latest: Sample = NOTHING;
  error: SampleError | undefined;
  readonly #broker: Broker;
  readonly #operator: Operator;
  readonly #queues: readonly string[] | undefined;
  readonly #workers: Workers;
  readonly #watchers = new Set<() => void>();
  #sampling: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When the last sample ended, on the clock of `performance`. */
  #sampledAt = 0;
  #costMs = 0;
  readonly #isAlwaysKept: boolean;
  readonly #closed = new AbortController();

  /** `queues`: only these; undefined: all. `isAlwaysKept`: also while no page is open. */
  constructor(
    broker: Broker,
    queues: readonly string[] | undefined,
    workers: Workers,
    isAlwaysKept: boolean,
  ) {
    this.#broker = broker;
    this.#operator = operatorOf(broker);
    this.#queues = queues;
    this.#workers = workers;
    this.#isAlwaysKept = isAlwaysKept;
    this.history = new History(Date.now(), workers.areKnown);
    // The first view then need not wait for it.
    void this.#sample().finally(() => this.#schedule());
  }

  /** Calls `onSample` after each sample from now on, until the function it returns is called. Must not throw. */
  watch(onSample: () => void): () => void {
    this.#watchers.add(onSample);
    this.#schedule();
    return () => {
      this.#watchers.delete(onSample);
      this.#schedule();
    };
  }

  /** Whether the broker did not answer when it was last asked, even if its connection is still there. */
  get isSilent(): boolean {
    return this.error !== undefined && !this.error.isUnsupported;
  }

  /** Resolves when `latest` and `error` are current, or soon if the broker does not respond. Never rejects. */
  async refresh(): Promise<void> {
    const ageMs = Date.now() - this.latest.at;
    const isFresh = ageMs >= 0 && ageMs < Math.max(FRESH_MS, 2 * SHARE_OF_TIME * this.#costMs);
    if (isFresh && this.error === undefined) return;
    const isFirst = this.latest.at === 0 && this.error === undefined && this.#broker.outage === undefined;
    if (isFirst) await this.#sample();
    else await settledWithin(this.#sample(), ANSWER_SOON_MS);
  }

  /** Resolves when they are current, even if they were recent. Never rejects. */
  async renew(): Promise<void> {
    await this.#sampling;
    await this.#sample();
  }

  /** A queue as it was in the last sample, or as the broker knows it: lists of RabbitMQ are some seconds late. */
  async find(name: string): Promise<QueueInfo | undefined> {
    const known = this.latest.byName.get(name);
    if (known !== undefined) return known;
    if (!this.shows(name)) return undefined;
    return this.#ask(name);
  }

  /** Whether this is one of the queues of the page. */
  shows(queue: string): boolean {
    return this.#queues === undefined || this.#queues.includes(queue);
  }

  close(): void {
    this.#closed.abort();
    clearTimeout(this.#timer);
    this.#watchers.clear();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const isWanted = this.#watchers.size > 0 || this.#isAlwaysKept;
    if (this.#closed.signal.aborted || !isWanted) return;
    const waitMs = this.#sampledAt + this.#intervalMs() - performance.now();
    this.#timer = setTimeout(() => void this.#sample().finally(() => this.#schedule()), Math.max(0, waitMs));
    // A page must not keep the process alive.
    this.#timer.unref();
  }

  #intervalMs(): number {
    return Math.max(this.#watchers.size > 0 ? WATCHED_MS : UNWATCHED_MS, this.#costMs * SHARE_OF_TIME);
  }

  /** Concurrent callers share one request. */
  #sample(): Promise<void> {
    this.#sampling ??= this.#read().finally(() => {
      this.#sampling = undefined;
    });
    return this.#sampling;
  }

  async #read(): Promise<void> {
    const begun = performance.now();
    const begunAt = Date.now();
    try {
      const { queues, parked } = await this.#list();
      const at = Date.now();
      this.latest = {
        at,
        queues,
        byName: new Map(queues.map((queue) => [queue.name, queue])),
        parked,
        deadLetterQueues: new Set(queues.flatMap((queue) => deadLetterQueueOf(queue) ?? [])),
      };
      this.error = undefined;
      // Not awaited, since a worker that does not respond must not hold up the others.
      void this.#workers.read(at);
      this.history.add(at, queues, { get: (name) => this.#workers.figuresOf(name) });
    } catch (error) {
      if (this.#closed.signal.aborted) return;
      const since = this.error?.since ?? this.#broker.outage?.since ?? begunAt;
      const isUnsupported = this.#broker.outage === undefined && isQueueError(error, ...OF_MANAGEMENT);
      const text = this.#broker.outage?.reason.message ?? errorText(error);
      this.error = { since, text, isUnsupported };
    }
    this.#sampledAt = performance.now();
    this.#costMs = this.#sampledAt - begun;
    for (const onSample of [...this.#watchers]) onSample();
  }

  async #list(): Promise<{ readonly queues: readonly QueueInfo[]; readonly parked: number }> {
    if (this.#queues === undefined) return this.#operator.queues({ ...this.#wait(), limit: MAX_QUEUES });
    const queues: QueueInfo[] = [];
    for (const name of this.#queues) {
      const queue = await this.#ask(name);
      if (queue !== undefined) queues.push(queue);
    }
    return { queues, parked: 0 };
  }

  async #ask(name: string): Promise<QueueInfo | undefined> {
    try {
      return await this.#operator.queue(name, this.#wait());
    } catch (error) {
      if (isQueueError(error, 'QUEUE_MISSING')) return undefined;
      throw error;
    }
  }

  #wait() {
    return { signal: this.#closed.signal, timeoutMs: ANSWER_LIMIT_MS };
  }
}
