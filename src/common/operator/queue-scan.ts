import type { Backend, Delivery, QueueSubscription, WaitOptions } from '../../broker.js';
import { QueueError } from '../../errors.js';
import { Deferred, pause, throwIfAborted, timeoutError, withOutage } from '../waiting/waiting.js';

/** How many bytes of memory the messages of a scan may take. Messages beyond that stay in the queue unread. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

/** The approximate size of a held message without its body. */
const MESSAGE_BYTES = 2048;

/** The first window is small: it shows how large the messages are. */
const FIRST_WINDOW = 16;

/** Less than the 2000 that a quorum queue allows one consumer. */
const MAX_WINDOW = 1000;

/** A message in transit is in neither the queue's count nor here, so an empty queue is checked several times. */
const CHECKS = 3;
const CHECK_INTERVAL_MS = 100;

/** How long to wait until returned messages show in the queue's count. */
const BACK_LIMIT_MS = 2000;
const BACK_INTERVAL_MS = 20;

/**
 * Reads the messages that are in a queue when the scan starts, from first to last, and returns those that were not
 * removed, in their original order.
 *
 *   new ──next()──► filling a window ──window full, or queue empty──► handing out ──next()──┐
 *                        ▲    (subscribed)                                (cancelled)          │
 *                        └───────────────── window handed out, more to come ──────────────────┘
 *   end(), from anywhere: the windows are closed in the order of their opening
 *
 * A message queue can't be browsed: reading means consuming. The scan holds each message until the end, because a
 * returned one would be delivered next. Each window is a subscription that is cancelled as soon as it has the wanted
 * number of messages: then removing one makes no room for another, and messages that arrive later are not consumed.
 */
export class QueueScan {
  /** How many messages were in the queue at the start. */
  readonly total: number;
  /** How many of them were delivered. */
  scanned = 0;

  readonly #broker: Backend;
  readonly #queue: string;
  readonly #wait: WaitOptions;
  readonly #maxWindow: number;
  /** In the order of their opening. */
  readonly #windows: QueueSubscription[] = [];
  /** Received, but not yet returned by `next`. */
  #arrived: Delivery[] = [];
  /** Returned by `next` and not removed, each with its size. */
  readonly #held = new Map<Delivery, number>();
  #heldBytes = 0;
  #scannedBytes = 0;
  #removed = 0;
  #losses = 0;
  readonly #interruptionsBefore: number;
  #isOver = false;
  #onChange: () => void = () => {};
  /** The highest `scanned` so far: reading a lost message again is no progress. */
  #mostScanned = 0;
  /** How long the scan has waited since it last made progress. */
  #waitedMs = 0;

  /** Rejects as `Broker.inspect` does. `maxWindow`: the maximum number of messages per window. */
  static async begin(
    broker: Backend,
    queue: string,
    wait: WaitOptions,
    maxWindow = MAX_WINDOW,
  ): Promise<QueueScan> {
    const { ready } = await broker.inspect(queue, wait);
    return new QueueScan(broker, queue, ready, wait, Math.min(maxWindow, MAX_WINDOW));
  }

  private constructor(broker: Backend, queue: string, total: number, wait: WaitOptions, maxWindow: number) {
    this.#broker = broker;
    this.#queue = queue;
    this.#wait = wait;
    this.#maxWindow = maxWindow;
    this.total = total;
    this.#interruptionsBefore = interruptionsOf(broker);
  }

  /**
   * Whether deliveries may have been lost since the start: then a removed message may be back, since the broker may not
   * have learned of its removal.
   */
  get mayReturnRemoved(): boolean {
    return this.interruptions > 0;
  }

  /** Grows with each time that deliveries may have been lost. */
  get interruptions(): number {
    return this.#losses + interruptionsOf(this.#broker) - this.#interruptionsBefore;
  }

  /** Whether the scan still holds the delivery, and may remove it. It may have been lost with its connection. */
  holds(delivery: Delivery): boolean {
    return this.#held.has(delivery);
  }

  /**
   * The next message; undefined if there is none, or no room to hold another. `atMost`: how many more are wanted.
   * Rejects with `TIMEOUT` if the scan makes no progress in time, even if the queue redelivers the same messages.
   */
  async next(atMost = Number.POSITIVE_INFINITY): Promise<Delivery | undefined> {
    if (this.#arrived.length === 0) await this.#fillWindow(atMost);
    const delivery = this.#arrived.shift();
    if (delivery === undefined) return undefined;
    // A backend keeps the body that it received besides the one that its reader may change.
    const bytes = 2 * Buffer.byteLength(delivery.message.body) + MESSAGE_BYTES;
    this.#held.set(delivery, bytes);
    this.#heldBytes += bytes;
    this.#scannedBytes += bytes;
    this.scanned++;
    if (this.scanned > this.#mostScanned) {
      this.#mostScanned = this.scanned;
      this.#waitedMs = 0;
    }
    return delivery;
  }

  /** Removes a message from the queue. */
  remove(delivery: Delivery): void {
    if (!this.#forget(delivery)) return;
    this.#removed++;
    delivery.ack();
  }

  /**
   * Counts the last message of `next` no more: it was removed once, and is back because its connection was lost before
   * the broker knew.
   */
  uncount(): void {
    this.scanned--;
    this.#removed--;
  }

  /** Returns all messages that were not removed. Always resolves. */
  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#windows.map((window) => window.cancel()));
    for (const window of this.#windows) await window.close();
    if (this.#windows.length > 0) await this.#untilBack().catch(() => {});
  }

  async #fillWindow(atMost: number): Promise<void> {
    const size = Math.min(atMost, this.total - this.scanned, this.#roomFor());
    if (this.#isOver || size <= 0) return;
    const startedAt = performance.now();
    try {
      const window = await this.#broker.subscribe(
        this.#queue,
        {
          ...this.#remaining(startedAt),
          prefetch: size,
          sparesLimit: true,
          onLost: (delivery) => this.#lose(delivery),
        },
        (delivery) => {
          this.#arrived.push(delivery);
          this.#onChange();
        },
      );
      this.#windows.push(window);
      await this.#untilFull(window, size, startedAt);
      await window.cancel();
    } finally {
      this.#waitedMs += performance.now() - startedAt;
    }
  }

  /** Resolves when the window is full or the queue is empty. */
  async #untilFull(window: QueueSubscription, size: number, startedAt: number): Promise<void> {
    const ended = window.ended.then(() => {
      throw new QueueError('CLOSED', `the broker was closed while '${this.#queue}' was scanned`);
    });
    ended.catch(() => {});
    let before = -1;
    for (let checks = 0; checks < CHECKS && this.#arrived.length < size; ) {
      const full = new Deferred();
      this.#onChange = () => {
        if (this.#arrived.length >= size) full.resolve();
      };
      const interval = pause(CHECK_INTERVAL_MS, this.#wait.signal, { keepAlive: true });
      await Promise.race([full.promise, ended, interval]);
      throwIfAborted(this.#wait.signal, this.#action);
      if (this.#arrived.length >= size) return;
      const { ready } = await this.#broker.inspect(this.#queue, this.#remaining(startedAt));
      checks = ready === 0 && this.#arrived.length === before ? checks + 1 : 0;
      before = this.#arrived.length;
    }
    // Other consumers took the rest: messages that arrive from now on were not there at the start.
    if (this.#arrived.length < size) this.#isOver = true;
  }

  get #action(): string {
    return `scanning '${this.#queue}'`;
  }

  /** The rest of the time limit. Throws `TIMEOUT`. */
  #remaining(startedAt: number): WaitOptions {
    const { timeoutMs = Number.POSITIVE_INFINITY, signal } = this.#wait;
    const leftMs = timeoutMs - this.#waitedMs - (performance.now() - startedAt);
    if (leftMs > 0) return { signal, timeoutMs: leftMs };
    throw withOutage(timeoutError(this.#action, timeoutMs, 'no further message'), this.#broker.outage);
  }

  /** How many more messages may be held, assuming the average size so far. */
  #roomFor(): number {
    if (this.scanned === 0) return Math.min(FIRST_WINDOW, this.#maxWindow);
    const average = this.#scannedBytes / this.scanned;
    // One at a time of those that are larger than all may be.
    const atLeast = this.#held.size === 0 ? 1 : 0;
    const room = Math.max(Math.floor((MAX_HELD_BYTES - this.#heldBytes) / average), atLeast);
    return Math.min(room, this.#maxWindow);
  }

  /** Called when a delivery is lost: its message is in the queue again and will be redelivered. */
  #lose(delivery: Delivery): void {
    this.#losses++;
    const position = this.#arrived.indexOf(delivery);
    if (position >= 0) this.#arrived.splice(position, 1);
    else if (this.#forget(delivery)) this.scanned--;
  }

  #forget(delivery: Delivery): boolean {
    const bytes = this.#held.get(delivery);
    if (bytes === undefined) return false;
    this.#held.delete(delivery);
    this.#heldBytes -= bytes;
    return true;
  }

  /** Waits until the next scan will find the returned messages: RabbitMQ takes a moment to count them. */
  async #untilBack(): Promise<void> {
    const over = performance.now() + BACK_LIMIT_MS;
    while (performance.now() < over) {
      const { ready } = await this.#broker.inspect(this.#queue, { timeoutMs: BACK_LIMIT_MS });
      if (ready >= this.total - this.#removed) return;
      await pause(BACK_INTERVAL_MS, undefined, { keepAlive: true });
    }
  }
}

function interruptionsOf({ counts }: Backend): number {
  return counts.disconnected + counts.unsubscribed;
}
