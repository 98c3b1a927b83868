import { BoundedTarget } from './bounded-target.js';
import type { PendingPublish } from './pending-publish.js';

export interface LanesSettings {
  /** How many messages a queue may hold; undefined where that is unlimited or not known. */
  readonly capacityOf: (queue: string) => number | undefined;
  /** How many it holds at present, as the broker sees it. */
  readonly readyIn: (queue: string) => Promise<number>;
  /** Called when a message of a lane may be sent that could not be sent before. */
  readonly wake: () => void;
}

/** The lanes of a publisher, by target: for queues with a capacity, and for targets that refused a message. */
export class BoundedTargets implements Iterable<BoundedTarget> {
  readonly #settings: LanesSettings;
  readonly #lanes = new Map<string, BoundedTarget>();

  constructor(settings: LanesSettings) {
    this.#settings = settings;
  }

  get isEmpty(): boolean {
    return this.#lanes.size === 0;
  }

  /** The lane of a message. Undefined: it needs none, as far as is known. */
  of(outgoing: PendingPublish): BoundedTarget | undefined {
    const { exchange, routingKey } = outgoing.wire;
    const lane = this.isEmpty ? undefined : this.#lanes.get(keyOf(outgoing));
    if (lane !== undefined || exchange !== '') return lane;
    const capacity = this.#settings.capacityOf(routingKey);
    return capacity === undefined ? undefined : this.#add(outgoing, capacity);
  }

  /** The lane of a message that was refused. */
  ofRefused(outgoing: PendingPublish): BoundedTarget {
    return this.of(outgoing) ?? this.#add(outgoing, undefined);
  }

  /** Those who wait in any of them. */
  get waiting(): PendingPublish[] {
    return [...this].flatMap((lane) => [...lane.waiting]);
  }

  /** Takes a message out of its lane. */
  remove(outgoing: PendingPublish): void {
    this.#lanes.get(keyOf(outgoing))?.waiting.remove(outgoing);
  }

  /** Drops the lanes that have no reason any more. */
  dropFinished(): void {
    for (const [key, lane] of this.#lanes) if (lane.isOver) this.#lanes.delete(key);
  }

  stop(): void {
    for (const lane of this) lane.stop();
    this.#lanes.clear();
  }

  [Symbol.iterator](): Iterator<BoundedTarget> {
    return this.#lanes.values();
  }

  #add(outgoing: PendingPublish, capacity: number | undefined): BoundedTarget {
    const { readyIn, wake } = this.#settings;
    const lane = new BoundedTarget({ capacity, ready: () => readyIn(outgoing.wire.routingKey), wake });
    this.#lanes.set(keyOf(outgoing), lane);
    return lane;
  }
}

function keyOf({ wire: { exchange, routingKey } }: PendingPublish): string {
  return exchange === '' ? routingKey : `${exchange}\n${routingKey}`;
}
