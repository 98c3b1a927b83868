import type { Delivery } from '../../broker.js';
import { invalidOption } from '../../common/options.js';
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
  const keyed: KeyedLine<Out> = new KeyedLine<Out>({
    keyOf: keysOf(key, rate),
    maxPerKey,
    decode: (delivery) => decodeAhead(delivery, () => keyed.isDecoding(delivery)),
    onReady,
  });
  const decoded: Decode<Out> = (delivery) => keyed.decodedOf(delivery);
  if (rate === undefined) return { line: keyed, decoded };
  const rateKey = rate.key;
  const keyOf =
    rateKey &&
    ((delivery: Delivery) => {
      const value = keyed.decodedOf(delivery);
      return value.ok ? rateKey(value.value) : undefined;
    });
  return { line: new RatedLine(keyed, { rate, takeStarts, keyOf, onReady, onTooLong }), decoded };
}

/** Also calls the rate's key function, so that a message for which it throws becomes a dead letter on arrival. */
function keysOf<Out>(key: KeyOf<Out> | undefined, rate: Rate<Out> | undefined): KeyOf<Out> {
  const rateKey = rate?.key;
  if (key !== undefined && rateKey === undefined) return key;
  return (value) => {
    const counted: unknown = rateKey?.(value);
    if (typeof counted !== 'string') throw invalidOption('rate.key', 'a string to be returned', counted);
    return key === undefined ? [] : key(value);
  };
}
