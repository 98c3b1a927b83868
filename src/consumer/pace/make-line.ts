import type { Delivery } from '../../broker.js';
import { invalidOption, refusePromise } from '../../common/options.js';
import type { Decoded } from '../settlement.js';
import { KeyedLine, type KeyOf, type Line, PlainLine } from './line.js';
import type { Rate } from './rate.js';
import { RatedLine } from './rated-line.js';
import type { TakeStarts } from './shared-rate-window.js';

/** The options of a consumer that decide when a handler may start. */
export interface LineSettings<Out> {
  readonly key: KeyOf<Out> | undefined;
  readonly maxPerKey: number;
  readonly rate: Rate<Out> | undefined;
}

type Decode<Out> = (delivery: Delivery) => Decoded<Out> | Promise<Decoded<Out>>;

interface LineHooks<Out> {
  /** Decodes a delivery on arrival, within a time limit. `isWanted`: whether the result is still needed. */
  readonly decodeAhead: (delivery: Delivery, isWanted: () => boolean) => Decoded<Out> | Promise<Decoded<Out>>;
  /** Called when a delivery becomes ready to be taken. */
  readonly onReady: () => void;
  /** Called with a delivery that has waited too long and was removed from the line. */
  readonly onTooLong: (delivery: Delivery) => void;
  /** For a rate that other consumers share. */
  readonly takeStarts: TakeStarts | undefined;
}

/**
 * Creates the line for a consumer's options. `decoded` returns the value of a delivery that was taken; undefined if
 * deliveries are not decoded on arrival.
 */
export function makeLine<Out>(
  { key, maxPerKey, rate }: LineSettings<Out>,
  { decodeAhead, onReady, onTooLong, takeStarts }: LineHooks<Out>,
): { readonly line: Line; readonly decoded: Decode<Out> | undefined } {
  if (key === undefined && rate?.key === undefined) {
    const plain = new PlainLine();
    const line =
      rate === undefined
        ? plain
        : new RatedLine(plain, { rate, takeStarts, keyOf: undefined, onReady, onTooLong });
    return { line, decoded: undefined };
  }
  const rateKeys = new WeakMap<Delivery, string>();
  const keyed: KeyedLine<Out> = new KeyedLine<Out>({
    keyOf: (value, delivery) => {
      if (rate?.key !== undefined) rateKeys.set(delivery, rateKeyOf(rate.key, value));
      return key === undefined ? [] : key(value);
    },
    maxPerKey,
    decode: (delivery) => decodeAhead(delivery, () => keyed.isDecoding(delivery)),
    onReady,
  });
  const decoded: Decode<Out> = (delivery) => keyed.decodedOf(delivery);
  if (rate === undefined) return { line: keyed, decoded };
  // A message for which it failed is not limited: it becomes a dead letter.
  const keyOf =
    rate.key && ((delivery: Delivery) => (keyed.decodedOf(delivery).ok ? rateKeys.get(delivery) : undefined));
  return { line: new RatedLine(keyed, { rate, takeStarts, keyOf, onReady, onTooLong }), decoded };
}

/** Throws `INVALID_OPTION`, and as the function of the program does. */
function rateKeyOf<Out>(keyOf: (value: Out) => unknown, value: Out): string {
  const key = keyOf(value);
  refusePromise('rate.key', 'a string to be returned', key);
  if (typeof key !== 'string') throw invalidOption('rate.key', 'a string to be returned', key);
  return key;
}
