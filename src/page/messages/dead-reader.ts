/** Reads dead letters for the page: on a local broker in place; RabbitMQ has to deliver them, and gets them back. */
import type { Broker, QueueInfo } from '../../broker.js';
import { operatorOf } from '../../common/backend-of.js';
import { cutBody } from '../../common/operator/peek-page.js';
import { type DeadLetter, toDeadLetter } from '../../dead-letters/dead-letter.js';
import { deadLetters } from '../../dead-letters/dead-letters.js';
import { isQueueError } from '../../errors.js';
import { type DeadSummary, summaryOf } from './error-groups.js';

/** How many are read; the page says if there are more. */
export const MAX_READ = 50_000;
const PEEKED_AT_ONCE = 1000;
/** How many are searched at once for the one to show. Their bodies are held meanwhile. */
const SEARCHED_AT_ONCE = 100;
/** How long dead letters that were read are shown without reading them again. */
const KEPT_MS = 3_000;
/** How many are kept of all queues together, not counting the queue that was read last. */
const MAX_KEPT = 100_000;
const LIMIT_MS = 30_000;
const OUTAGE_LIMIT_MS = 1_000;

export interface DeadScan {
  /** When it was read. */
  readonly at: number;
  /** How many are there; more than were read if there are too many. */
  readonly total: number;
  readonly summaries: readonly DeadSummary[];
}

/** A dead letter whose body may be cut. */
export interface ReadDeadLetter {
  readonly deadLetter: DeadLetter;
  readonly bodyBytes: number;
}

/** The queue with the dead letters of this one; undefined if it has none. */
export function deadLetterQueueOf({ name, deadLetterQueue }: QueueInfo): string | undefined {
  return deadLetterQueue === undefined ? `${name}.dead` : (deadLetterQueue ?? undefined);
}

export class DeadReader {
  readonly #broker: Broker;
  readonly #kept = new Map<string, DeadScan>();
  readonly #reading = new Map<string, Promise<DeadScan>>();
  /** The last reader of each queue, which may still be waiting for the others. Never rejects. */
  readonly #lastReader = new Map<string, Promise<unknown>>();
  readonly #signal: AbortSignal;
  readonly #isSilent: () => boolean;

  /** `isSilent`: whether the broker did not answer when it was last asked. */
  constructor(broker: Broker, signal: AbortSignal, isSilent: () => boolean) {
    this.#broker = broker;
    this.#signal = signal;
    this.#isSilent = isSilent;
  }

  /** All dead letters of the queue, up to {@link MAX_READ}. Concurrent callers share one read. */
  read(queue: QueueInfo): Promise<DeadScan> {
    const name = deadLetterQueueOf(queue);
    if (name === undefined) return Promise.resolve({ at: Date.now(), total: 0, summaries: [] });
    const kept = this.#kept.get(name);
    if (kept !== undefined && Math.abs(Date.now() - kept.at) < KEPT_MS) return Promise.resolve(kept);
    const reading =
      this.#reading.get(name) ??
      this.#inTurn(name, () => this.#read(queue, name))
        .then((scan) => this.#keep(name, scan))
        .finally(() => this.#reading.delete(name));
    this.#reading.set(name, reading);
    return reading;
  }

  /** The result of the last read, however old. */
  lastOf(queue: QueueInfo): DeadScan | undefined {
    return this.#kept.get(deadLetterQueueOf(queue) ?? '');
  }

  /** Dead letters of the queue have changed: the next call reads them again. */
  forget(queue: QueueInfo): void {
    this.#kept.delete(deadLetterQueueOf(queue) ?? '');
  }

  /** The one with this id; undefined if it is gone. */
  async find(queue: QueueInfo, id: string, maxBodyBytes: number): Promise<ReadDeadLetter | undefined> {
    const name = deadLetterQueueOf(queue);
    if (name === undefined) return undefined;
    const wait = this.#wait();
    if (queue.type !== 'local') {
      const dead = deadLetters(this.#broker, queue.name, { queue: name });
      const list = () => dead.list({ ids: [id], limit: 1, ...wait });
      const [deadLetter] = (await this.#inTurn(name, list)).deadLetters;
      if (deadLetter === undefined) return undefined;
      const { message } = deadLetter;
      const body = cutBody(message.body, maxBodyBytes);
      return {
        deadLetter: { ...deadLetter, message: { ...message, body } },
        bodyBytes: Buffer.byteLength(message.body),
      };
    }
    let after: string | undefined;
    do {
      const options = { after, limit: SEARCHED_AT_ONCE, maxBodyBytes, ...wait };
      const page = await operatorOf(this.#broker).peek(name, options);
      const found = page.messages.find(({ message }) => message.id === id);
      if (found !== undefined) {
        return { deadLetter: toDeadLetter(found.message), bodyBytes: found.bodyBytes };
      }
      after = page.next;
    } while (after !== undefined);
    return undefined;
  }

  /** Admits one reader at a time: another would miss what RabbitMQ has delivered to it. */
  #inTurn<T>(name: string, read: () => Promise<T>): Promise<T> {
    const reading = (this.#lastReader.get(name) ?? Promise.resolve()).then(read);
    const ended = reading
      .catch(() => {})
      .then(() => {
        if (this.#lastReader.get(name) === ended) this.#lastReader.delete(name);
      });
    this.#lastReader.set(name, ended);
    return reading;
  }

  async #read(queue: QueueInfo, name: string): Promise<DeadScan> {
    try {
      return queue.type === 'local' ? await this.#peekAll(name) : await this.#list(queue.name, name);
    } catch (error) {
      // The queue is created when it is first needed.
      if (isQueueError(error, 'QUEUE_MISSING')) return { at: Date.now(), total: 0, summaries: [] };
      throw error;
    }
  }

  async #peekAll(name: string): Promise<DeadScan> {
    const operator = operatorOf(this.#broker);
    const wait = this.#wait();
    const summaries: DeadSummary[] = [];
    let after: string | undefined;
    do {
      const page = await operator.peek(name, { after, limit: PEEKED_AT_ONCE, maxBodyBytes: 0, ...wait });
      for (const { message, bodyBytes } of page.messages) {
        summaries.push(summaryOf(toDeadLetter(message), bodyBytes));
      }
      after = page.next;
    } while (after !== undefined && summaries.length < MAX_READ);
    const { ready } = await operator.queue(name, wait);
    return { at: Date.now(), total: Math.max(ready, summaries.length), summaries };
  }

  async #list(queue: string, name: string): Promise<DeadScan> {
    const dead = deadLetters(this.#broker, queue, { queue: name });
    const found = await dead.list({ limit: MAX_READ, ...this.#wait() });
    const summaries = found.deadLetters.map((deadLetter) =>
      summaryOf(deadLetter, Buffer.byteLength(deadLetter.message.body)),
    );
    return { at: Date.now(), total: found.total, summaries };
  }

  #wait() {
    const isAway = this.#broker.outage !== undefined || this.#isSilent();
    return { signal: this.#signal, timeoutMs: isAway ? OUTAGE_LIMIT_MS : LIMIT_MS };
  }

  #keep(name: string, scan: DeadScan): DeadScan {
    this.#kept.delete(name);
    this.#kept.set(name, scan);
    let size = 0;
    for (const { summaries } of this.#kept.values()) size += summaries.length;
    for (const [oldest, { summaries }] of this.#kept) {
      if (size <= MAX_KEPT || oldest === name) break;
      this.#kept.delete(oldest);
      size -= summaries.length;
    }
    return scan;
  }
}
