import type { QueueSpec } from '../../broker.js';
import { deadLetterSpecOf } from '../../common/definitions/queue-spec.js';
import { QueueError } from '../../errors.js';
import { bindingName, type Exchanges } from '../exchanges.js';
import {
  changesDeadLetterTarget,
  deadLetterTargetOf,
  missingDeadLetterSpec,
  queueMissing,
} from '../local-broker.js';
import { checkMatches } from '../queue-mismatch.js';
import type { FanOuts } from './fan-out.js';
import { MemoryQueue } from './queue.js';

interface Surroundings {
  readonly exchanges: Exchanges<MemoryQueue>;
  readonly fanOuts: FanOuts;
  /** The capacity of queues that are declared without one. */
  readonly defaultCapacity: number;
  readonly isClosed: () => boolean;
}

/** The queues of a broker in memory, by name: how they are declared and removed. */
export class MemoryQueues {
  readonly #byName = new Map<string, MemoryQueue>();
  readonly #exchanges: Exchanges<MemoryQueue>;
  readonly #fanOuts: FanOuts;
  readonly #defaultCapacity: number;
  readonly #isClosed: () => boolean;

  constructor({ exchanges, fanOuts, defaultCapacity, isClosed }: Surroundings) {
    this.#exchanges = exchanges;
    this.#fanOuts = fanOuts;
    this.#defaultCapacity = defaultCapacity;
    this.#isClosed = isClosed;
  }

  get(name: string): MemoryQueue | undefined {
    return this.#byName.get(name);
  }

  all(): Iterable<MemoryQueue> {
    return this.#byName.values();
  }

  /** Throws `QUEUE_MISSING`. */
  named(name: string): MemoryQueue {
    const queue = this.#byName.get(name);
    if (queue === undefined) throw queueMissing(name);
    return queue;
  }

  /** Throws `QUEUE_MISSING` and `QUEUE_MISMATCH`. */
  declare(spec: QueueSpec): void {
    const existing = this.#byName.get(spec.name);
    if (existing === undefined && spec.declare === 'existing') throw queueMissing(spec.name);
    const deadLetterSpec = deadLetterSpecOf(spec);
    // Both are checked before either is created, so that a refused declaration leaves nothing behind.
    if (spec.declare === 'match') {
      this.#checkMatches(spec);
      if (deadLetterSpec !== undefined) this.#checkMatches(deadLetterSpec);
    }
    for (const { exchange } of spec.bindings ?? []) this.#exchanges.check(exchange);
    const queue = existing ?? this.#create(spec, this.#defaultCapacity);
    if (spec.declare === 'match') queue.onExpired = spec.onExpired;
    this.#bind(queue, spec);
    if (deadLetterSpec === undefined) return;
    this.#ensureDeadLetterQueue(deadLetterSpec);
    if (
      changesDeadLetterTarget(spec, deadLetterSpec, queue.deadLetterTarget, (name) => this.#byName.has(name))
    )
      queue.deadLetterTarget = deadLetterTargetOf(deadLetterSpec);
  }

  /** From now on it does not exist. `how` it was removed, for those who wait for room in it. */
  remove(queue: MemoryQueue, how: string): void {
    this.#byName.delete(queue.name);
    this.#exchanges.forgetQueue(queue);
    queue.end(() => new QueueError('UNROUTABLE', `the queue '${queue.name}' ${how}`));
  }

  /** The broker is closed. */
  end(error: () => QueueError): void {
    for (const queue of this.#byName.values()) queue.end(error);
    this.#byName.clear();
  }

  #create(spec: QueueSpec, defaultCapacity: number): MemoryQueue {
    const queue = new MemoryQueue(spec, defaultCapacity, {
      onAbandoned: (abandoned) => {
        if (spec.autoDelete && !this.#isClosed())
          this.remove(abandoned, 'was deleted when its last subscriber left');
      },
      onRoom: () => this.#fanOuts.admit(),
      ensureDeadLetterQueue: ({ deadLetterTarget }) => {
        const missing = missingDeadLetterSpec(deadLetterTarget);
        return missing && this.#ensureDeadLetterQueue(missing);
      },
    });
    this.#byName.set(spec.name, queue);
    return queue;
  }

  #ensureDeadLetterQueue(spec: QueueSpec): MemoryQueue {
    return this.#byName.get(spec.name) ?? this.#create(spec, Number.POSITIVE_INFINITY);
  }

  #bind(queue: MemoryQueue, { bindings = [], unbind = [] }: QueueSpec): void {
    let hasUnbound = false;
    for (const binding of unbind)
      hasUnbound = this.#exchanges.unbind(queue, bindingName(binding)) || hasUnbound;
    for (const binding of bindings) {
      this.#exchanges.declare(binding.exchange);
      this.#exchanges.bind(queue, bindingName(binding));
    }
    // What waited for room in this queue may need it no more.
    if (hasUnbound) this.#fanOuts.admit();
  }

  #checkMatches(spec: QueueSpec): void {
    const existing = this.#byName.get(spec.name);
    if (existing !== undefined) checkMatches(spec, existing);
  }
}
