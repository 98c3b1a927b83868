import { type PendingPublish, SendQueue } from './pending-publish.js';

const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 250;

/** Rounds of refusals after which the target's count is queried, to see whether it is full at all. */
const REFUSALS_BEFORE_CHECK = 4;

export interface BoundedTargetSettings {
  /** How many messages the target holds; undefined if unknown. */
  readonly capacity: number | undefined;
  /** How many it currently holds, according to the broker; undefined for an exchange, which can't be queried. */
  readonly ready: (() => Promise<number>) | undefined;
  /** Whether nothing may currently be sent there, regardless of the room. */
  readonly isHeld: () => boolean;
  /** Called when a message may be sent that could not be sent before. */
  readonly wake: () => void;
}

/**
 * The messages to one target whose room is limited: a queue with a capacity, or one that refused a message.
 *
 *   no credit ──asked for room──► credit ──spent, one a message──► no credit
 *       ▲ │                          │
 *       │ └── there was none ──┐     └── refused in spite of it ──┐
 *       └───────────── pause ◄─┴──────────────────────────────────┘
 *
 * RabbitMQ refuses what exceeds a queue's limit without a reason, does not report when there is room again, and a quorum
 * queue takes many more before it refuses the first. To send and see would exceed the capacity, waste what is refused,
 * and shuffle the order of the messages. So the queue is asked how many it holds, and no more are sent than fit. After a
 * refusal, which other publishers can cause, the target goes on with a single message, and with twice as many after each
 * that is taken. The other targets of the publisher go on meanwhile.
 */
export class BoundedTarget {
  readonly waiting = new SendQueue();

  readonly #settings: BoundedTargetSettings;
  /** How many may be sent before its room must be queried. */
  #credit: number;
  /** How many may be unanswered at once. */
  #window = Number.POSITIVE_INFINITY;
  #unconfirmed = 0;
  /** Rounds of refusals since the last message that was taken. */
  #refusals = 0;
  /** Pauses in a row after which there was still no room. */
  #uselessPauses = 0;
  #asking = false;
  #pause: NodeJS.Timeout | undefined;

  constructor(settings: BoundedTargetSettings) {
    this.#settings = settings;
    this.#credit = this.#isCounted ? 0 : Number.POSITIVE_INFINITY;
  }

  /** Whether the target no longer needs separate treatment. One with a known capacity stays. */
  get isOver(): boolean {
    return !this.#isCounted && this.waiting.isEmpty && this.#unconfirmed === 0 && this.#pause === undefined;
  }

  get isHeld(): boolean {
    return this.#settings.isHeld();
  }

  /** Whether a query of its room is pending; the waiting messages are sent or refused after the response. */
  get isAsking(): boolean {
    return this.#asking;
  }

  /**
   * Whether the message may be sent now. If not, its room is queried, or retried after a pause; for a message that does
   * not wait, room is always queried, and without any it is refused.
   */
  maySend({ noWait }: PendingPublish): boolean {
    if (this.#asking || (this.#pause !== undefined && !noWait)) return false;
    if (this.isHeld) this.#pauseAndWake();
    else if (this.#isCounted && this.#credit < 1) void this.#askForRoom();
    else return noWait || this.#unconfirmed < this.#window;
    return false;
  }

  onSent(): void {
    this.#unconfirmed++;
    this.#credit = Math.max(0, this.#credit - 1);
  }

  onAnswered(): void {
    this.#unconfirmed--;
  }

  onAccepted(): void {
    this.#refusals = 0;
    this.#uselessPauses = 0;
    this.#window *= 2;
  }

  onRefused(pending: PendingPublish): void {
    this.waiting.add(pending);
    this.#window = 1;
    if (this.#isCounted) this.#credit = 0;
    // Messages sent together are refused together: one round.
    if (this.#pause === undefined) {
      this.#refusals++;
      this.#pauseAndWake();
    }
    if (this.#refusals >= REFUSALS_BEFORE_CHECK) void this.#checkIfFull(pending);
  }

  /** The channel is closed, and the messages sent on it wait again. */
  onChannelLost(): void {
    this.#unconfirmed = 0;
    if (this.#isCounted) this.#credit = 0;
  }

  stop(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  get #isCounted(): boolean {
    return this.#settings.capacity !== undefined;
  }

  async #askForRoom(): Promise<void> {
    const { capacity = 1, ready, wake } = this.#settings;
    this.#asking = true;
    try {
      const held = (await ready?.()) ?? 0;
      this.#credit = capacity - held - this.#unconfirmed;
    } catch {
      // The queue can't be queried; instead, a message is sent to see the response.
      this.#credit = 1;
    }
    this.#asking = false;
    if (this.#credit >= 1) {
      wake();
      return;
    }
    for (const pending of [...this.waiting]) {
      if (!pending.noWait) continue;
      this.waiting.remove(pending);
      pending.giveUp('FULL', 'the queue is full');
    }
    this.#pauseAndWake();
  }

  /**
   * A negative confirm has no reason, and a queue's limits can't be queried: they may come from a policy. But a queue
   * without any message is not full. Then the message (over the limit in bytes) or the broker is the reason, and no
   * room will ever help.
   */
  async #checkIfFull(pending: PendingPublish): Promise<void> {
    const ready = await this.#settings.ready?.().catch(() => undefined);
    if (ready !== 0 || !this.waiting.remove(pending)) return;
    pending.giveUp(
      'REFUSED',
      'the broker refused it again and again, though the queue is empty: the message is over the limit of the queue in bytes, or the broker failed',
    );
    this.#settings.wake();
  }

  #pauseAndWake(): void {
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#uselessPauses++, 10));
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#settings.wake();
    }, pauseMs);
  }
}

export interface BoundedTargetsSettings {
  /** How many messages a queue may hold; undefined if unlimited or unknown. */
  readonly capacityOf: (queue: string) => number | undefined;
  /** How many it holds now, according to the broker. */
  readonly readyIn: (queue: string) => Promise<number>;
  /** Whether messages to the queue must wait for another reason: it is currently not ours. */
  readonly isHeld: (queue: string) => boolean;
  /** Called when a message may be sent that could not be sent before. */
  readonly wake: () => void;
}

/** The targets of a publisher whose room is limited: queues with a capacity, and targets that refused a message. */
export class BoundedTargets implements Iterable<BoundedTarget> {
  readonly #settings: BoundedTargetsSettings;
  readonly #targets = new Map<string, BoundedTarget>();

  constructor(settings: BoundedTargetsSettings) {
    this.#settings = settings;
  }

  get isEmpty(): boolean {
    return this.#targets.size === 0;
  }

  /** The target of a message. Undefined: its room is not known to be limited. */
  of(pending: PendingPublish): BoundedTarget | undefined {
    const { exchange, routingKey } = pending.wire;
    const target = this.isEmpty ? undefined : this.#targets.get(keyOf(pending));
    if (target !== undefined || exchange !== '') return target;
    const capacity = this.#settings.capacityOf(routingKey);
    if (capacity === undefined && !this.#settings.isHeld(routingKey)) return undefined;
    return this.#add(pending, capacity);
  }

  /** The broker refused the message for now: it waits at its target for room. */
  onRefused(pending: PendingPublish): void {
    const target = this.of(pending) ?? this.#add(pending, undefined);
    target.onRefused(pending);
  }

  /** All messages that wait at any of them. */
  get waiting(): PendingPublish[] {
    return [...this].flatMap((target) => [...target.waiting]);
  }

  /** Removes a message that waits. */
  remove(pending: PendingPublish): void {
    this.#targets.get(keyOf(pending))?.waiting.remove(pending);
  }

  /** Drops the targets that no longer need separate treatment. */
  dropFinished(): void {
    for (const [key, target] of this.#targets) if (target.isOver) this.#targets.delete(key);
  }

  onChannelLost(): void {
    for (const target of this) target.onChannelLost();
  }

  stop(): void {
    for (const target of this) target.stop();
    this.#targets.clear();
  }

  [Symbol.iterator](): Iterator<BoundedTarget> {
    return this.#targets.values();
  }

  #add(pending: PendingPublish, capacity: number | undefined): BoundedTarget {
    const { readyIn, isHeld, wake } = this.#settings;
    const { exchange, routingKey } = pending.wire;
    const target = new BoundedTarget({
      capacity,
      ready: exchange === '' ? () => readyIn(routingKey) : undefined,
      isHeld: () => exchange === '' && isHeld(routingKey),
      wake,
    });
    this.#targets.set(keyOf(pending), target);
    return target;
  }
}

function keyOf({ wire: { exchange, routingKey } }: PendingPublish): string {
  return exchange === '' ? routingKey : `${exchange}\n${routingKey}`;
}
