/** A line whose deliveries wait for a rate. */
import type { Delivery } from '../../broker.js';
import { Deadlines } from '../../common/waiting/waiting.js';
import type { Line } from './line.js';
import { MAX_TURN_WAIT_MS, type Rate } from './rate.js';
import { RateWindow, type StartWindow } from './rate-window.js';
import { SharedRateWindow, type TakeStarts } from './shared-rate-window.js';

interface RatedLineSettings {
  readonly rate: Pick<Rate, 'limit' | 'perMs'>;
  /** Of a limit that other consumers share; undefined: it is this one's own. */
  readonly takeStarts?: TakeStarts | undefined;
  /** The key whose window a delivery counts in; undefined: it is not limited. */
  readonly keyOf: ((delivery: Delivery) => string | undefined) | undefined;
  /** Called when a delivery may start. */
  readonly onReady: () => void;
  /** Called with a delivery that has waited too long and was removed from the line. */
  readonly onTooLong: (delivery: Delivery) => void;
}

/** Usually the next request reports it earlier. */
const TELL_AFTER_MS = 20;

/** Above this number, idle windows are deleted. */
const MANY_WINDOWS = 1000;

/**
 * A line whose deliveries also wait for a rate window. With keys, a delivery whose window is closed is set aside, and
 * deliveries with other keys continue.
 *
 *   in the inner line ──window open──► taken
 *      └──window closed (keyed)──► set aside ──window open──► taken
 *                                     └──waited too long──► given back
 */
export class RatedLine implements Line {
  readonly #inner: Line;
  readonly #settings: RatedLineSettings;
  readonly #windows = new Map<string, StartWindow>();
  #many = MANY_WINDOWS;
  /** Taken from the inner line, by key, in the order of arrival; no list is empty. */
  readonly #aside = new Map<string, Delivery[]>();
  /** The arrival times of all deliveries that were not taken, in that order. */
  readonly #arrivals = new Map<Delivery, number>();
  /** One timer for all. */
  readonly #deadlines = new Deadlines((now) => this.#check(now));

  /** Shared windows that have not reported yet when their starts were used. */
  readonly #usedUp = new Set<SharedRateWindow>();
  readonly #telling = new Deadlines(() => this.#tell());

  constructor(inner: Line, settings: RatedLineSettings) {
    this.#inner = inner;
    this.#settings = settings;
  }

  add(delivery: Delivery): void {
    this.#arrivals.set(delivery, performance.now());
    this.#inner.add(delivery);
  }

  take(): Delivery | undefined {
    const now = performance.now();
    const delivery = this.#takeAside(now) ?? this.#takeInner(now);
    if (delivery !== undefined) this.#arrivals.delete(delivery);
    return delivery;
  }

  done(delivery: Delivery): void {
    this.#inner.done(delivery);
  }

  remove(delivery: Delivery): void {
    this.#arrivals.delete(delivery);
    for (const [key, waiting] of this.#aside) {
      const position = waiting.indexOf(delivery);
      if (position < 0) continue;
      waiting.splice(position, 1);
      if (waiting.length === 0) this.#aside.delete(key);
    }
    this.#inner.remove(delivery);
  }

  clear(): Delivery[] {
    const untaken = [...this.#arrivals.keys()];
    for (const waiting of this.#aside.values()) for (const delivery of waiting) this.#inner.remove(delivery);
    this.#aside.clear();
    this.#inner.clear();
    this.#arrivals.clear();
    this.#deadlines.stop();
    this.#telling.stop();
    this.#usedUp.clear();
    for (const window of this.#windows.values()) window.giveBack();
    return untaken;
  }

  #takeAside(now: number): Delivery | undefined {
    for (const [key, waiting] of this.#aside) {
      const window = this.#windowOf(key, now);
      if (window.nextAt(now, waiting.length) > now) continue;
      window.take(now);
      const delivery = waiting.shift();
      if (waiting.length === 0) this.#aside.delete(key);
      return delivery;
    }
    return undefined;
  }

  #takeInner(now: number): Delivery | undefined {
    const { keyOf } = this.#settings;
    if (keyOf === undefined) {
      const window = this.#windowOf('', now);
      if (this.#arrivals.size === 0) return undefined;
      if (window.nextAt(now, this.#arrivals.size) > now) {
        this.#deadlines.add(this.#nextCheck(now));
        return undefined;
      }
      const delivery = this.#inner.take();
      if (delivery !== undefined) window.take(now);
      return delivery;
    }
    for (let delivery = this.#inner.take(); delivery !== undefined; delivery = this.#inner.take()) {
      const key = keyOf(delivery);
      if (key === undefined) return delivery;
      const window = this.#windowOf(key, now);
      const waiting = this.#aside.get(key);
      if (waiting === undefined && window.nextAt(now, 1) <= now) {
        window.take(now);
        return delivery;
      }
      if (waiting === undefined) this.#aside.set(key, [delivery]);
      else waiting.push(delivery);
    }
    this.#deadlines.add(this.#nextCheck(now));
    return undefined;
  }

  #windowOf(key: string, now: number): StartWindow {
    let window = this.#windows.get(key);
    if (window === undefined) {
      if (this.#windows.size >= this.#many) this.#forgetIdle(now);
      window = this.#newWindow(key);
      this.#windows.set(key, window);
    }
    return window;
  }

  #newWindow(key: string): StartWindow {
    const { rate, takeStarts } = this.#settings;
    if (takeStarts === undefined) return new RateWindow(rate);
    return new SharedRateWindow({
      ...rate,
      key,
      takeStarts,
      onAnswer: () => this.#onAnswer(),
      onUsedUp: (window) => {
        this.#usedUp.add(window);
        this.#telling.add(performance.now() + TELL_AFTER_MS);
      },
    });
  }

  #tell(): number {
    const windows = [...this.#usedUp];
    this.#usedUp.clear();
    for (const window of windows) window.tell();
    return Number.POSITIVE_INFINITY;
  }

  /** A shared window knows when the next handler may start. */
  #onAnswer(): void {
    if (this.#arrivals.size > 0) this.#deadlines.add(this.#check(performance.now()));
  }

  #forgetIdle(now: number): void {
    for (const [key, window] of this.#windows) if (window.isIdle(now)) this.#windows.delete(key);
    this.#many = Math.max(MANY_WINDOWS, 2 * this.#windows.size);
  }

  /** Gives back deliveries that have waited too long, and returns when to check again. */
  #check(now: number): number {
    for (const delivery of this.#waiting(now)) {
      if ((this.#arrivals.get(delivery) as number) + MAX_TURN_WAIT_MS > now) continue;
      this.remove(delivery);
      this.#settings.onTooLong(delivery);
    }
    this.#settings.onReady();
    return this.#nextCheck(performance.now());
  }

  /** The deliveries that wait for a window. */
  #waiting(now: number): Delivery[] {
    if (this.#settings.keyOf !== undefined) return [...this.#aside.values()].flat();
    if (this.#arrivals.size === 0) return [];
    const nextAt = this.#windowOf('', now).nextAt(now, this.#arrivals.size);
    return nextAt > now ? [...this.#arrivals.keys()] : [];
  }

  /** The next time at which a window opens or a delivery has waited too long. */
  #nextCheck(now: number): number {
    const waiting = this.#waiting(now);
    if (waiting.length === 0) return Number.POSITIVE_INFINITY;
    const keys = this.#settings.keyOf === undefined ? [''] : [...this.#aside.keys()];
    // A delivery that may start now is waiting for a handler to end, not for a time.
    const opens = keys
      .map((key) => this.#windowOf(key, now).nextAt(now, this.#aside.get(key)?.length ?? waiting.length))
      .filter((at) => at > now);
    const tooLong = waiting.map((delivery) => (this.#arrivals.get(delivery) as number) + MAX_TURN_WAIT_MS);
    return Math.max(now, Math.min(...opens, ...tooLong));
  }
}
