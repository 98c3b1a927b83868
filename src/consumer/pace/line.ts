import type { Delivery } from '../../broker.js';
import { errorText, isThenable, quote } from '../../common/options.js';
import type { Decoded } from '../settlement.js';
import { KeyLanes } from './key-lanes.js';

/** Deliveries whose handler has not started. Bounded by the prefetch. */
export interface Line {
  add(delivery: Delivery): void;
  /** Takes the next delivery that may be handled, if any. */
  take(): Delivery | undefined;
  /** Called when a delivery that was taken is handled and settled. */
  done(delivery: Delivery): void;
  /** Called when a delivery is lost before it was taken. */
  remove(delivery: Delivery): void;
  /** Empties the line, and returns the deliveries that were not taken, in the order of arrival. */
  clear(): Delivery[];
}

/** First come, first served. */
export class PlainLine implements Line {
  readonly #deliveries: Delivery[] = [];

  add(delivery: Delivery): void {
    this.#deliveries.push(delivery);
  }

  take(): Delivery | undefined {
    return this.#deliveries.shift();
  }

  done(): void {}

  remove(delivery: Delivery): void {
    const position = this.#deliveries.indexOf(delivery);
    if (position >= 0) this.#deliveries.splice(position, 1);
  }

  clear(): Delivery[] {
    return this.#deliveries.splice(0);
  }
}

/** Returns the keys of a value. Messages that share a key are not handled at the same time. */
export type KeyOf<Out> = (value: Out) => string | readonly string[];

interface KeyedLineSettings<Out> {
  /** Called once for each delivery. */
  readonly keyOf: (value: Out, delivery: Delivery) => ReturnType<KeyOf<Out>>;
  /** How many deliveries with the same key may be taken at once. */
  readonly maxPerKey: number;
  /** Must not throw or reject, and must end in time, since later deliveries wait for it. */
  readonly decode: (delivery: Delivery) => Decoded<Out> | Promise<Decoded<Out>>;
  /** Called when a delivery becomes ready after it was added. */
  readonly onReady: () => void;
}

/**
 * A line in which deliveries with the same key wait for each other.
 *
 *   add ──► decoding, in the order of arrival ──► in the lanes of its keys ──► taken ──► done
 *
 * The keys are computed from the value, so each delivery is decoded on arrival, and its value is kept until it is handled.
 */
export class KeyedLine<Out> implements Line {
  readonly #settings: KeyedLineSettings<Out>;
  readonly #lanes: KeyLanes<Delivery>;
  readonly #decoded = new Map<Delivery, Decoded<Out>>();
  /** Deliveries that are being decoded by an asynchronous schema, and all that arrived after them, in their order. */
  readonly #decoding = new Map<Delivery, Decoded<Out> | undefined>();

  constructor(settings: KeyedLineSettings<Out>) {
    this.#settings = settings;
    this.#lanes = new KeyLanes(settings.maxPerKey);
  }

  add(delivery: Delivery): void {
    const decoding = this.#settings.decode(delivery);
    if (!(decoding instanceof Promise) && this.#decoding.size === 0) {
      this.#enter(delivery, decoding);
      return;
    }
    this.#decoding.set(delivery, decoding instanceof Promise ? undefined : decoding);
    if (decoding instanceof Promise) void this.#await(delivery, decoding);
  }

  take(): Delivery | undefined {
    return this.#lanes.take();
  }

  isDecoding(delivery: Delivery): boolean {
    return this.#decoding.has(delivery);
  }

  /** The decoded value of a delivery that was taken. */
  decodedOf(delivery: Delivery): Decoded<Out> {
    return this.#decoded.get(delivery) as Decoded<Out>;
  }

  done(delivery: Delivery): void {
    this.remove(delivery);
  }

  remove(delivery: Delivery): void {
    if (this.#decoding.delete(delivery)) this.#enterDecoded();
    this.#decoded.delete(delivery);
    this.#lanes.remove(delivery);
  }

  clear(): Delivery[] {
    const undecoded = [...this.#decoding.keys()];
    this.#decoding.clear();
    const untaken = this.#lanes.clear();
    for (const delivery of untaken) this.#decoded.delete(delivery);
    return [...untaken, ...undecoded];
  }

  async #await(delivery: Delivery, decoding: Promise<Decoded<Out>>): Promise<void> {
    const decoded = await decoding;
    if (!this.#decoding.has(delivery)) return;
    this.#decoding.set(delivery, decoded);
    this.#enterDecoded();
    this.#settings.onReady();
  }

  /** Moves all deliveries before the first undecoded one into their lanes. */
  #enterDecoded(): void {
    for (const [delivery, decoded] of this.#decoding) {
      if (decoded === undefined) return;
      this.#decoding.delete(delivery);
      this.#enter(delivery, decoded);
    }
  }

  #enter(delivery: Delivery, decoded: Decoded<Out>): void {
    let keys: readonly string[] = [];
    let known = decoded;
    try {
      if (decoded.ok) keys = checkKeys(this.#settings.keyOf(decoded.value, delivery));
    } catch (error) {
      // Calling it again would have the same result, so the message is treated as invalid.
      const text = `the key function failed: ${errorText(error)}`;
      known = { ok: false, outcome: { type: 'hopeless', code: 'invalid', text } };
    }
    this.#decoded.set(delivery, known);
    this.#lanes.add(delivery, keys);
  }
}

/** Throws a `TypeError`. */
export function checkKeys(keys: unknown): readonly string[] {
  // The rejection of an asynchronous key function must not end the process.
  if (isThenable(keys)) keys.then(undefined, () => {});
  if (typeof keys === 'string') return [keys];
  if (Array.isArray(keys) && keys.every((key) => typeof key === 'string')) return keys;
  throw new TypeError(`expected a string or an array of strings, got ${quote(keys)}`);
}
