import type { Delivery } from '../../broker.js';
import { invalidOption } from '../../common/options.js';
import type { Decoded } from '../settlement.js';
import { KeyedLine, type KeyOf, type Line, PlainLine } from './line.js';
import { type Rate, RatedLine } from './rate.js';

/** The options of a consumer that decide when a handler may begin. */
export interface LineSettings<Out> {
  readonly key: KeyOf<Out> | undefined;
  readonly maxPerKey: number;
  readonly rate: Rate<Out> | undefined;
}

type Decode<Out> = (delivery: Delivery) => Decoded<Out> | Promise<Decoded<Out>>;

interface LineHooks<Out> {
  /** Decodes a delivery on arrival, within a time limit. `isWanted`: whether it still is. */
  readonly decodeAhead: (delivery: Delivery, isWanted: () => boolean) => Decoded<Out> | Promise<Decoded<Out>>;
  /** Called when a delivery may be taken that could not before. */
  readonly onReady: () => void;
  /** Called for a delivery that has waited too long, and is not in the line any more. */
  readonly onTooLong: (delivery: Delivery) => void;
}

/**
 * The line that a consumer's options ask for. `decoded`: the value of a delivery that was taken from it; undefined where
 * nothing is decoded ahead.
 */
export function makeLine<Out>(
  { key, maxPerKey, rate }: LineSettings<Out>,
  { decodeAhead, onReady, onTooLong }: LineHooks<Out>,
): { readonly line: Line; readonly decoded: Decode<Out> | undefined } {
  if (key === undefined && rate?.key === undefined) {
    const plain = new PlainLine();
    const line =
      rate === undefined ? plain : new RatedLine(plain, { rate, keyOf: undefined, onReady, onTooLong });
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
  return { line: new RatedLine(keyed, { rate, keyOf, onReady, onTooLong }), decoded };
}

/** What throws is found out on arrival, where it makes the message a dead letter. */
function keysOf<Out>(key: KeyOf<Out> | undefined, rate: Rate<Out> | undefined): KeyOf<Out> {
  const rateKey = rate?.key;
  if (key !== undefined && rateKey === undefined) return key;
  return (value) => {
    const counted: unknown = rateKey?.(value);
    if (typeof counted !== 'string') throw invalidOption('rate.key', 'a string to be returned', counted);
    return key === undefined ? [] : key(value);
  };
}
