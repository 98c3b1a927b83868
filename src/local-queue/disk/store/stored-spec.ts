/** The stored form of a queue's definition. */
import type { QueueSpec } from '../../../broker.js';
import { quote } from '../../../common/options.js';

/** JSON can't represent Infinity, which a capacity can be. */
const INFINITY = '\u221e';

/** A definition as it is stored. */
export type StoredSpec = QueueSpec & {
  readonly paused?: boolean;
  readonly deadLetterCapacity?: number | undefined;
};

/**
 * The spec as it will be read back, for comparison with a stored one; without values that can't be passed to another
 * thread.
 */
export function asStored(spec: QueueSpec): QueueSpec {
  return parseSpec(specText(spec));
}

/** As it is stored. */
export function specText(spec: StoredSpec): string {
  return JSON.stringify(spec, (_key, value) => (value === Number.POSITIVE_INFINITY ? INFINITY : value));
}

/** Throws for a text that is not a definition. */
export function parseSpec(text: string): StoredSpec {
  try {
    const revive = (_key: string, value: unknown) => (value === INFINITY ? Number.POSITIVE_INFINITY : value);
    // Several times as fast without.
    const spec: StoredSpec = JSON.parse(text, text.includes(INFINITY) ? revive : undefined);
    if (typeof spec.name === 'string') return spec;
  } catch {
    // Reported below.
  }
  throw new TypeError(`the definition of a queue can't be read: ${quote(text)}`);
}
