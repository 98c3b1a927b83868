import type { Broker } from '../broker.js';
import { errorText, refusePromise } from '../common/options.js';
import { Deadlines } from '../common/waiting/waiting.js';
import type { HandlerContext } from '../consumer/consumer.js';
import type { HandlerHost } from '../consumer/handler-threads.js';
import { RejectMessage } from '../errors.js';
import { BatchEntry, type BatchHandler, handleBatch } from './batch.js';

interface BatcherSettings<Out> {
  readonly queue: string;
  readonly broker: Pick<Broker, 'url'>;
  readonly size: number;
  readonly waitMs: number;
  readonly maxBytes: number;
  readonly concurrency: number;
  readonly by: ((value: Out) => string) | undefined;
  readonly handlerTimeoutMs: number;
}

/** Messages that arrive one by one, on their way to one call of the handler. */
class OpenBatch<Out> {
  readonly entries: BatchEntry<Out>[] = [];
  bytes = 0;
  /** On the clock of `performance.now()`. */
  readonly closeAt: number;

  constructor(waitMs: number) {
    this.closeAt = performance.now() + waitMs;
  }
}

/**
 * Collects the messages of a consumer into batches. To the consumer, each message has its own handler, which ends when
 * its batch ends. So the consumer takes care of retries, dead letters, lost messages and stopping, as usual.
 *
 *   join ──► open, one for each kind ──full, waitMs, drain──► closed ──a slot is free──► handled ──► (gone)
 */
export class Batcher<Out> implements HandlerHost {
  readonly #handler: BatchHandler<Out>;
  readonly #settings: BatcherSettings<Out>;
  /** Open batches, by the result of `by`. */
  readonly #open = new Map<string, OpenBatch<Out>>();
  /** Closed batches that wait for a slot, first come, first served. */
  readonly #closed: (readonly BatchEntry<Out>[])[] = [];
  #handling = 0;
  readonly #deadlines = new Deadlines((now) => this.#closeDue(now));

  constructor(handler: BatchHandler<Out>, settings: BatcherSettings<Out>) {
    this.#handler = handler;
    this.#settings = settings;
  }

  /** Settles as a handler of the single message would. */
  join(value: Out, context: HandlerContext): Promise<void> {
    const { size, waitMs, maxBytes } = this.#settings;
    const kind = this.#kindOf(value);
    const entry = new BatchEntry(value, context);
    const bytes =
      maxBytes === Number.POSITIVE_INFINITY ? 0 : Buffer.byteLength(entry.run.delivery.message.body);
    let batch = this.#open.get(kind);
    if (batch !== undefined && batch.bytes + bytes > maxBytes) {
      this.#close(kind, batch);
      batch = undefined;
    }
    if (batch === undefined) {
      batch = new OpenBatch(waitMs);
      this.#open.set(kind, batch);
      this.#deadlines.add(batch.closeAt);
    }
    batch.entries.push(entry);
    batch.bytes += bytes;
    if (batch.entries.length >= size || batch.bytes >= maxBytes) this.#close(kind, batch);
    return entry.outcome.promise;
  }

  async open(): Promise<void> {}

  drain(): void {
    for (const [kind, batch] of this.#open) this.#close(kind, batch);
  }

  async close(): Promise<void> {
    this.#deadlines.stop();
  }

  /** Throws `RejectMessage`. */
  #kindOf(value: Out): string {
    const { by } = this.#settings;
    if (by === undefined) return '';
    let kind: unknown;
    try {
      kind = by(value);
      refusePromise('by', 'a string to be returned', kind);
    } catch (error) {
      throw new RejectMessage(`the function 'by' failed: ${errorText(error)}`);
    }
    if (typeof kind === 'string') return kind;
    throw new RejectMessage(`the function 'by' returned no string, but ${typeof kind}`);
  }

  /** Closes the batches that are due, and returns when the next one is due. */
  #closeDue(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const [kind, batch] of this.#open) {
      if (batch.closeAt <= now) this.#close(kind, batch);
      else next = Math.min(next, batch.closeAt);
    }
    return next;
  }

  #close(kind: string, { entries }: OpenBatch<Out>): void {
    this.#open.delete(kind);
    this.#closed.push(entries);
    this.#handleNext();
  }

  #handleNext(): void {
    while (this.#handling < this.#settings.concurrency) {
      const entries = this.#closed.shift();
      if (entries === undefined) return;
      this.#handling++;
      void this.#handle(entries);
    }
  }

  async #handle(entries: readonly BatchEntry<Out>[]): Promise<void> {
    await handleBatch(entries, { ...this.#settings, handler: this.#handler });
    this.#handling--;
    this.#handleNext();
  }
}
