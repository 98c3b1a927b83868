import type { QueueSpec } from '../../broker.js';
import { describeQueue, parseQueue, type StoredQueue } from './queue-description.js';
import { type Tables, u32 } from './tables.js';

/** What changes with every message. Read and written once a transaction, however many messages that has. */
export interface Counters {
  /** Messages that are ready, leased or delayed: all that count against the capacity. */
  held: number;
  ready: number;
  /** The last number given to a message, as its `seq` or as a new `place`. */
  last: number;
  /** Some process has a subscriber with nothing to do: who makes a message ready rings the doorbell. */
  hungry: boolean;
  /** Some process waits for room: who makes room rings the doorbell. */
  crowded: boolean;
}

interface OpenCounters {
  readonly counters: Counters;
  /** As they are in the store. */
  readonly bytes: Buffer;
}

const LAST_ID_KEY = Buffer.from('last-queue');
const GENERATION_KEY = Buffer.from('queue-generation');

/**
 * The queues of the store. Descriptions are kept in memory and read again when a process, this one or another, has
 * changed any; counters live as long as a transaction. `begin` and `end` enclose one.
 */
export class QueueTable {
  readonly #tables: Tables;
  readonly #known = new Map<string, StoredQueue>();
  readonly #names = new Map<number, string>();
  readonly #open = new Map<number, OpenCounters>();
  #generation = -1;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  begin(): void {
    this.#open.clear();
    const generation = readNumber(this.#tables.root.getBinary(GENERATION_KEY));
    if (generation === this.#generation) return;
    this.#generation = generation;
    this.#known.clear();
    this.#names.clear();
    for (const { value } of this.#tables.queues.getRange()) this.#learn(parseQueue(value));
  }

  /** Writes the counters that changed. */
  end(): void {
    for (const [id, { counters, bytes }] of this.#open) {
      if (!this.#names.has(id)) continue;
      const now = encodeCounters(counters);
      if (!now.equals(bytes)) this.#tables.counters.putSync(u32(id), now);
    }
  }

  /** The queues that this transaction looked at. */
  *touched(): Iterable<readonly [StoredQueue, Counters]> {
    for (const [id, { counters }] of this.#open) {
      const queue = this.byId(id);
      if (queue !== undefined) yield [queue, counters];
    }
  }

  /** The transaction failed: nothing read or made in it holds. */
  forget(): void {
    this.#generation = -1;
    this.#open.clear();
  }

  byName(name: string): StoredQueue | undefined {
    return this.#known.get(name);
  }

  byId(id: number): StoredQueue | undefined {
    const name = this.#names.get(id);
    return name === undefined ? undefined : this.#known.get(name);
  }

  counters(queue: StoredQueue): Counters {
    let open = this.#open.get(queue.id);
    if (open === undefined) {
      const bytes = this.#tables.counters.getBinary(u32(queue.id)) ?? Buffer.alloc(0);
      open = { counters: decodeCounters(bytes), bytes };
      this.#open.set(queue.id, open);
    }
    return open.counters;
  }

  create(spec: QueueSpec, deadLetterQueue: string | undefined): StoredQueue {
    const { root } = this.#tables;
    const id = readNumber(root.getBinary(LAST_ID_KEY)) + 1;
    root.putSync(LAST_ID_KEY, u32(id));
    const queue = { id, spec, deadLetterQueue };
    this.#store(queue);
    return queue;
  }

  setDeadLetterQueue(queue: StoredQueue, deadLetterQueue: string): void {
    this.#store({ ...queue, deadLetterQueue });
  }

  delete(queue: StoredQueue): void {
    this.#tables.queues.removeSync(Buffer.from(queue.spec.name));
    this.#tables.counters.removeSync(u32(queue.id));
    this.#open.delete(queue.id);
    this.#known.delete(queue.spec.name);
    this.#names.delete(queue.id);
    this.#changed();
  }

  #store(queue: StoredQueue): void {
    this.#tables.queues.putSync(Buffer.from(queue.spec.name), describeQueue(queue));
    this.#learn(queue);
    this.#changed();
  }

  #learn(queue: StoredQueue): void {
    this.#known.set(queue.spec.name, queue);
    this.#names.set(queue.id, queue.spec.name);
  }

  #changed(): void {
    this.#generation = (this.#generation + 1) % 2 ** 32;
    this.#tables.root.putSync(GENERATION_KEY, u32(this.#generation));
  }
}

const COUNTER_BYTES = 25;

function encodeCounters(counters: Counters): Buffer {
  const bytes = Buffer.allocUnsafe(COUNTER_BYTES);
  bytes.writeDoubleLE(counters.held, 0);
  bytes.writeDoubleLE(counters.ready, 8);
  bytes.writeDoubleLE(counters.last, 16);
  bytes[24] = (counters.hungry ? 1 : 0) | (counters.crowded ? 2 : 0);
  return bytes;
}

function decodeCounters(bytes: Buffer): Counters {
  if (bytes.length !== COUNTER_BYTES) return { held: 0, ready: 0, last: 0, hungry: false, crowded: false };
  const flags = bytes[24] ?? 0;
  return {
    held: bytes.readDoubleLE(0),
    ready: bytes.readDoubleLE(8),
    last: bytes.readDoubleLE(16),
    hungry: (flags & 1) !== 0,
    crowded: (flags & 2) !== 0,
  };
}

function readNumber(bytes: Buffer | undefined): number {
  return bytes?.length === 4 ? bytes.readUInt32BE(0) : 0;
}
