import type { Broker, Delivery, Subscription, WaitOptions } from '../broker.js';
import { Deferred, pause, throwIfAborted } from '../common/limits.js';
import { QueueError } from '../errors.js';

/** What a walk may hold of the letters that it passed: the others stay in the queue and are not seen. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

/** What a held letter takes besides its body, roughly. */
const LETTER_BYTES = 2048;

/** The first look tells how large the letters are. */
const FIRST_WINDOW = 16;

/** Below what a quorum queue grants one consumer (2000). */
const MAX_WINDOW = 1000;

/** The broker counts a letter as gone when it hands it over, before it is here: several looks in a row tell. */
const LOOKS = 3;
const LOOK_INTERVAL_MS = 100;

/** How long to wait until the letters that went back can be seen in the queue again. */
const BACK_LIMIT_MS = 2000;
const BACK_INTERVAL_MS = 20;

/**
 * Goes through the letters that are in a queue when it begins, from the first to the last, and puts those back that
 * were not removed, in the order in which they were.
 *
 *   begun ──next()──► filling a window ──window full, or queue empty──► handing out ──next()──┐
 *                        ▲    (subscribed)                                (cancelled)          │
 *                        └───────────────── window handed out, more to come ──────────────────┘
 *   end(), from anywhere: the windows are closed in the order of their opening
 *
 * A message queue can't be looked at: what is looked at is taken. So a letter stays taken until the end, since
 * one that goes back would be the next one to come. Each window is a subscription that is cancelled as soon as it
 * has as many letters as were wanted: removing one makes no room for another then, and none that arrives meanwhile
 * is ever taken.
 */
export class QueueScan {
  /** How many letters were there at the beginning. */
  readonly total: number;
  /** How many of them were handed out. */
  examined = 0;

  readonly #broker: Broker;
  readonly #queue: string;
  readonly #wait: WaitOptions;
  readonly #maxWindow: number;
  /** In the order of their opening. */
  readonly #windows: Subscription[] = [];
  /** Here, and not handed out yet. */
  #arrived: Delivery[] = [];
  /** Handed out and not removed, each with its size. */
  readonly #held = new Map<Delivery, number>();
  #heldBytes = 0;
  #examinedBytes = 0;
  #removed = 0;
  #isOver = false;
  #onChange: () => void = () => {};

  /** Rejects as `Broker.inspect` does. `maxWindow`: how many letters to take at once at most. */
  static async begin(
    broker: Broker,
    queue: string,
    wait: WaitOptions,
    maxWindow = MAX_WINDOW,
  ): Promise<QueueScan> {
    const { ready } = await broker.inspect(queue, wait);
    return new QueueScan(broker, queue, ready, wait, Math.min(maxWindow, MAX_WINDOW));
  }

  private constructor(broker: Broker, queue: string, total: number, wait: WaitOptions, maxWindow: number) {
    this.#broker = broker;
    this.#queue = queue;
    this.#wait = wait;
    this.#maxWindow = maxWindow;
    this.total = total;
  }

  /** Whether it is still this walk's to remove: its link may be lost meanwhile. */
  holds(delivery: Delivery): boolean {
    return this.#held.has(delivery);
  }

  /** The next letter; undefined when there is none, or no room to hold another one. `atMost`: how many are wanted yet. */
  async next(atMost = Number.POSITIVE_INFINITY): Promise<Delivery | undefined> {
    if (this.#arrived.length === 0) await this.#fillWindow(atMost);
    const delivery = this.#arrived.shift();
    if (delivery === undefined) return undefined;
    const bytes = Buffer.byteLength(delivery.message.body) + LETTER_BYTES;
    this.#held.set(delivery, bytes);
    this.#heldBytes += bytes;
    this.#examinedBytes += bytes;
    this.examined++;
    return delivery;
  }

  /** Removes a letter from the queue. */
  remove(delivery: Delivery): void {
    if (!this.#forget(delivery)) return;
    this.#removed++;
    delivery.ack();
  }

  /** Puts back what was not removed. Always resolves. */
  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#windows.map((window) => window.cancel()));
    for (const window of this.#windows) await window.close();
    if (this.#windows.length > 0) await this.#untilBack().catch(() => {});
  }

  async #fillWindow(atMost: number): Promise<void> {
    const size = Math.min(atMost, this.total - this.examined, this.#roomFor());
    if (this.#isOver || size <= 0) return;
    const window = await this.#broker.subscribe(
      this.#queue,
      { ...this.#wait, prefetch: size, sparesLimit: true, onLost: (delivery) => this.#lose(delivery) },
      (delivery) => {
        this.#arrived.push(delivery);
        this.#onChange();
      },
    );
    this.#windows.push(window);
    await this.#untilFull(window, size);
    await window.cancel();
  }

  /** Resolves when the window is full, or the queue empty. */
  async #untilFull(window: Subscription, size: number): Promise<void> {
    const ended = window.ended.then(() => {
      throw new QueueError('CLOSED', `the broker was closed while '${this.#queue}' was looked through`);
    });
    ended.catch(() => {});
    let before = -1;
    for (let looks = 0; looks < LOOKS && this.#arrived.length < size; ) {
      const full = new Deferred();
      this.#onChange = () => {
        if (this.#arrived.length >= size) full.resolve();
      };
      const interval = pause(LOOK_INTERVAL_MS, this.#wait.signal, { keepAlive: true });
      await Promise.race([full.promise, ended, interval]);
      throwIfAborted(this.#wait.signal, `scanning '${this.#queue}'`);
      if (this.#arrived.length >= size) return;
      const { ready } = await this.#broker.inspect(this.#queue, this.#wait);
      looks = ready === 0 && this.#arrived.length === before ? looks + 1 : 0;
      before = this.#arrived.length;
    }
    // Others took the rest: what comes from here on was not there at the beginning.
    if (this.#arrived.length < size) this.#isOver = true;
  }

  /** How many letters more may be held, if they are as large as those before. */
  #roomFor(): number {
    if (this.examined === 0) return Math.min(FIRST_WINDOW, this.#maxWindow);
    const average = this.#examinedBytes / this.examined;
    return Math.min(Math.floor((MAX_HELD_BYTES - this.#heldBytes) / average), this.#maxWindow);
  }

  /** It is in the queue again, and comes again. */
  #lose(delivery: Delivery): void {
    const position = this.#arrived.indexOf(delivery);
    if (position >= 0) this.#arrived.splice(position, 1);
    else if (this.#forget(delivery)) this.examined--;
  }

  #forget(delivery: Delivery): boolean {
    const bytes = this.#held.get(delivery);
    if (bytes === undefined) return false;
    this.#held.delete(delivery);
    this.#heldBytes -= bytes;
    return true;
  }

  /** So that whoever looks next sees them: RabbitMQ's queues take a moment to count what came back. */
  async #untilBack(): Promise<void> {
    const over = performance.now() + BACK_LIMIT_MS;
    while (performance.now() < over) {
      const { ready } = await this.#broker.inspect(this.#queue, { timeoutMs: BACK_LIMIT_MS });
      if (ready >= this.total - this.#removed) return;
      await pause(BACK_INTERVAL_MS, undefined, { keepAlive: true });
    }
  }
}
