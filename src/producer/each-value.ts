/** The per-value work of `sendMany`: its own options, and the handling of invalid values. */
import { checkOptionNames, errorText, invalidOption, observerOption, wordOption } from '../common/options.js';
import { isQueueError, QueueError } from '../errors.js';
import {
  MESSAGE_OPTION_NAMES,
  type MessageOptions,
  type MessageProperties,
  messageProperties,
} from './message-options.js';

/** Options of `sendMany` for single values. */
export interface EachValueOptions<In = unknown> {
  /**
   * Returns the message options of one value, which override those for all; headers are added to those for all. `index`
   * counts from 0. With an `id` derived from the value, a restarted import sends the same messages. If it throws, or
   * returns options that can't be sent, `sendMany` stops with `INVALID_OPTION`.
   */
  readonly each?: ((value: In, index: number) => MessageOptions) | undefined;
  /**
   * How to treat a value that fails its schema, can't be encoded, or is too large: `'stop'` ends the call like any other
   * error, `'skip'` continues, and the result lists skipped values. Default: `'stop'`.
   */
  readonly onInvalid?: 'stop' | 'skip' | undefined;
  /**
   * Called at most ten times a second while messages are stored, and at the end. Its errors are ignored.
   */
  readonly onProgress?: ((progress: SendManyCounts) => void) | undefined;
}

/** The progress of a `sendMany`. */
export interface SendManyCounts {
  /** Values taken from the iterable. */
  readonly taken: number;
  /** How many of these are stored. */
  readonly stored: number;
  /** How many of these were skipped. */
  readonly skipped: number;
}

/** A value that was not sent. */
export interface SkippedValue {
  /** The index of the value, from 0. */
  readonly position: number;
  /** `INVALID_MESSAGE` or `TOO_LARGE`. */
  readonly error: QueueError;
}

/** The values that `sendMany` has skipped. */
export interface SkippedValues {
  /** Their number. */
  readonly count: number;
  /** The first hundred. */
  readonly first: readonly SkippedValue[];
}

export const EACH_VALUE_OPTION_NAMES: readonly (keyof EachValueOptions)[] = [
  'each',
  'onInvalid',
  'onProgress',
];

/** The checked options. */
export interface EachValue<In> {
  /** Undefined if the options for all values apply to each. Throws `INVALID_OPTION`. */
  readonly propertiesOf: ((value: In, index: number) => MessageProperties) | undefined;
  readonly skipsInvalid: boolean;
  readonly onProgress: ((progress: SendManyCounts) => void) | undefined;
}

/** Throws `INVALID_OPTION`. `all`: the options for all values. */
export function checkEachValue<In>(options: EachValueOptions<In>, all: MessageOptions): EachValue<In> {
  const { each } = options;
  if (each !== undefined && typeof each !== 'function') {
    throw invalidOption('each', 'a function of the value and its index', each);
  }
  return {
    propertiesOf: each && ((value, index) => propertiesOf(each, value, index, all)),
    skipsInvalid: wordOption('onInvalid', options.onInvalid, ['stop', 'skip'], 'stop') === 'skip',
    onProgress: observerOption(options.onProgress, 'onProgress'),
  };
}

function propertiesOf<In>(
  each: (value: In, index: number) => MessageOptions,
  value: In,
  index: number,
  all: MessageOptions,
): MessageProperties {
  try {
    const own = each(value, index);
    if (typeof own !== 'object' || own === null)
      throw invalidOption('each', 'message options to be returned', own);
    checkOptionNames('each', own, ['id', ...MESSAGE_OPTION_NAMES]);
    const headers =
      own.headers && all.headers ? { ...all.headers, ...own.headers } : (own.headers ?? all.headers);
    const given = Object.fromEntries(Object.entries(own).filter(([, option]) => option !== undefined));
    // One time of delivery replaces the other.
    const { delayMs, at, ...others } = all;
    const due = 'delayMs' in given || 'at' in given ? {} : { delayMs, at };
    return messageProperties({ ...others, ...due, ...given, headers });
  } catch (error) {
    const text = `each, of the value at position ${index}: ${errorText(error)}`;
    throw new QueueError('INVALID_OPTION', text, { cause: error });
  }
}

const MAX_LISTED = 100;

/** Collects skipped values. */
export class Skipped {
  count = 0;
  readonly #first: SkippedValue[] = [];

  /** False if the error is not about the value alone. */
  add(position: number, error: QueueError): boolean {
    if (!isQueueError(error, 'INVALID_MESSAGE', 'TOO_LARGE')) return false;
    this.count++;
    if (this.#first.length < MAX_LISTED) this.#first.push({ position, error });
    return true;
  }

  get values(): SkippedValues {
    return { count: this.count, first: this.#first.toSorted((a, b) => a.position - b.position) };
  }
}

const PROGRESS_EVERY_MS = 100;

/** Calls back at intervals. */
export class ProgressReports {
  readonly #onProgress: (progress: SendManyCounts) => void;
  readonly #counts: () => SendManyCounts;
  #nextAt = performance.now() + PROGRESS_EVERY_MS;

  constructor(onProgress: (progress: SendManyCounts) => void, counts: () => SendManyCounts) {
    this.#onProgress = onProgress;
    this.#counts = counts;
  }

  /** Called when a message is stored. */
  step(): void {
    const now = performance.now();
    if (now < this.#nextAt) return;
    this.#nextAt = now + PROGRESS_EVERY_MS;
    this.report();
  }

  report(): void {
    this.#onProgress(this.#counts());
  }
}
