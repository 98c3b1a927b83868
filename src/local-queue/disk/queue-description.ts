import type { QueueSpec } from '../../broker.js';
import { quote } from '../../common/options.js';

/** A queue as it was declared. */
export interface StoredQueue {
  /** Its name in keys. A queue that is deleted and made again gets another one. */
  readonly id: number;
  readonly spec: QueueSpec;
  /** Where its dead letters go; undefined: they are dropped. */
  readonly deadLetterQueue: string | undefined;
}

/** The spec as it will be read back, for comparing it with one that was. */
export function asStored(spec: QueueSpec): QueueSpec {
  return JSON.parse(JSON.stringify(spec, infinityAsText), infinityFromText);
}

export function parseQueue(value: Buffer): StoredQueue {
  const text = value.toString();
  try {
    const queue: StoredQueue = JSON.parse(text, infinityFromText);
    if (Number.isSafeInteger(queue.id) && typeof queue.spec.name === 'string') return queue;
  } catch {
    // Told below.
  }
  throw new TypeError(`the description of a queue can't be read: ${quote(text)}`);
}

export function describeQueue(queue: StoredQueue): Buffer {
  return Buffer.from(JSON.stringify(queue, infinityAsText));
}

/** JSON has no infinity, which a capacity can be. */
const INFINITY = '\u221e';

function infinityAsText(_key: string, value: unknown): unknown {
  return value === Number.POSITIVE_INFINITY ? INFINITY : value;
}

function infinityFromText(_key: string, value: unknown): unknown {
  return value === INFINITY ? Number.POSITIVE_INFINITY : value;
}
