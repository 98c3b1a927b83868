import type { Delivery } from '../broker.js';
import { errorText } from '../common/error-text.js';
import { quote } from '../common/options.js';
import type { DecodedValue } from '../queue.js';
import { KeyLanes } from './key-lanes.js';
import type { Line } from './line.js';

/** Says what must not be handled at the same time: the keys of a value. */
export type KeyOf<Out> = (value: Out) => string | readonly string[];

interface KeyedLineSettings<Out> {
  readonly keyOf: KeyOf<Out>;
  readonly decode: (delivery: Delivery) => DecodedValue<Out> | Promise<DecodedValue<Out>>;
  /** Called when there is one to take that was not there when it was added. */
  readonly onReady: () => void;
}

/**
 * A line in which deliveries of the same key wait for one another.
 *
 *   add ──► decoding, in the order of their coming ──► in the lanes of its keys ──► taken ──► done
 *
 * The keys come from the value, so each is decoded when it comes and its value is kept until it is handled.
 */
export class KeyedLine<Out> implements Line {
  readonly #settings: KeyedLineSettings<Out>;
  readonly #lanes = new KeyLanes<Delivery>();
  readonly #decoded = new Map<Delivery, DecodedValue<Out>>();
  /** Those whose schema is asynchronous, and those that came after them. */
  readonly #decoding = new Set<Delivery>();
  #lastDecoding: Promise<void> = Promise.resolve();

  constructor(settings: KeyedLineSettings<Out>) {
    this.#settings = settings;
  }

  add(delivery: Delivery): void {
    const decoding = this.#settings.decode(delivery);
    if (!(decoding instanceof Promise) && this.#decoding.size === 0) {
      this.#enter(delivery, decoding);
      return;
    }
    this.#decoding.add(delivery);
    const before = this.#lastDecoding;
    this.#lastDecoding = (async () => {
      const decoded = await decoding; // Never rejects.
      await before;
      if (!this.#decoding.delete(delivery)) return;
      this.#enter(delivery, decoded);
      this.#settings.onReady();
    })();
  }

  take(): Delivery | undefined {
    return this.#lanes.take();
  }

  /** The value of one that was taken. */
  decodedOf(delivery: Delivery): DecodedValue<Out> {
    return this.#decoded.get(delivery) as DecodedValue<Out>;
  }

  done(delivery: Delivery): void {
    this.remove(delivery);
  }

  remove(delivery: Delivery): void {
    this.#decoding.delete(delivery);
    this.#decoded.delete(delivery);
    this.#lanes.remove(delivery);
  }

  clear(): Delivery[] {
    const untaken = [...this.#lanes.clear(), ...this.#decoding];
    for (const delivery of untaken) this.remove(delivery);
    return untaken;
  }

  #enter(delivery: Delivery, decoded: DecodedValue<Out>): void {
    let keys: readonly string[] = [];
    let known = decoded;
    try {
      if (decoded.ok) keys = checkKeys(this.#settings.keyOf(decoded.value));
    } catch (error) {
      // Asking again would give the same answer: a message whose key can't be told is like one that does not fit.
      known = {
        ok: false,
        failure: { code: 'invalid', error: `its key can't be told: ${errorText(error)}` },
      };
    }
    this.#decoded.set(delivery, known);
    this.#lanes.add(delivery, keys);
  }
}

/** Throws where `keys` can't be what says what must not be handled at the same time. */
export function checkKeys(keys: unknown): readonly string[] {
  if (typeof keys === 'string') return [keys];
  if (Array.isArray(keys) && keys.every((key) => typeof key === 'string')) return keys;
  throw new TypeError(`expected a string or an array of strings, got ${quote(keys)}`);
}
