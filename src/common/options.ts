/** Checks arguments: options, signals, observers, sizes. Each is checked once, where it enters the toolkit. */
import { inspect } from 'node:util';
import type { WaitOptions } from '../broker.js';
import { MAX_DELAY_MS, QueueError } from '../errors.js';

export { MAX_DELAY_MS };

/** A short, safe rendering of any value, for error messages. */
export function quote(value: unknown): string {
  const text =
    typeof value === 'string' ? JSON.stringify(value) : inspect(value, { depth: 1, breakLength: 80 });
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** The text of a thrown value, which may be no error and may be unprintable. */
export function errorText(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return `${thrown.message || thrown.name}`;
    return `a thrown ${quote(thrown)}`;
  } catch {
    return 'a thrown value that cannot be shown';
  }
}

export function invalidOption(name: string, expected: string, got: unknown): QueueError {
  return new QueueError('INVALID_OPTION', `${name}: expected ${expected}, got ${quote(got)}`);
}

/** Checks the name of a queue: programs without types may pass its definition. Throws `INVALID_OPTION`. */
export function checkQueueName(queue: unknown): void {
  if (typeof queue === 'string') return;
  throw invalidOption('queue', 'the name of a queue (a definition has it as queue.name)', queue);
}

/** An integer within bounds, or the default if it is undefined. */
export function integerOption(
  name: string,
  value: number | undefined,
  bounds: {
    readonly min: number;
    readonly max?: number;
    readonly infinity?: boolean;
    readonly default: number;
  },
): number {
  if (value === undefined) return bounds.default;
  const max = bounds.max ?? Number.MAX_SAFE_INTEGER;
  if (bounds.infinity === true && value === Number.POSITIVE_INFINITY) return value;
  if (Number.isSafeInteger(value) && value >= bounds.min && value <= max) return value;
  const range =
    bounds.max === undefined ? `of at least ${bounds.min}` : `from ${bounds.min} to ${bounds.max}`;
  throw invalidOption(name, `an integer ${range}${bounds.infinity === true ? ', or Infinity' : ''}`, value);
}

/** Milliseconds within the range of a timer, `Infinity` for no limit, or the default if it is undefined. */
export function durationOption(
  name: string,
  value: number | undefined,
  bounds: { readonly min?: number; readonly infinity?: boolean; readonly default: number },
): number {
  if (value === undefined) return bounds.default;
  const min = bounds.min ?? 0;
  if (bounds.infinity === true && value === Number.POSITIVE_INFINITY) return value;
  if (typeof value === 'number' && value >= min && value <= MAX_DELAY_MS) return value;
  throw invalidOption(
    name,
    `milliseconds from ${min} to ${MAX_DELAY_MS}${bounds.infinity === true ? ', or Infinity for no limit' : ''}`,
    value,
  );
}

/** One of a fixed set of words, or the default if it is undefined. */
export function wordOption<T extends string>(
  name: string,
  value: T | undefined,
  words: readonly T[],
  fallback: T,
): T {
  if (value === undefined) return fallback;
  if (words.includes(value)) return value;
  throw invalidOption(name, words.map((word) => `'${word}'`).join(' or '), value);
}

export function booleanOption(name: string, value: boolean | undefined, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value === 'boolean') return value;
  throw invalidOption(name, 'true or false', value);
}

/** Throws `INVALID_OPTION`. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidOption('signal', 'an AbortSignal', signal);
  }
}

/** Throws `INVALID_OPTION`. */
export function checkWaitOptions(options: WaitOptions | undefined): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null) {
    throw invalidOption('options', 'an object with signal and timeoutMs', options);
  }
  checkSignal(options.signal);
  durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: Number.POSITIVE_INFINITY });
}

/**
 * An observer that can't affect what it observes: its errors and rejections are ignored. Throws `INVALID_OPTION`.
 */
export function observerOption<E>(
  observe: ((event: E) => void) | undefined,
  name = 'observe',
): ((event: E) => void) | undefined {
  if (observe === undefined) return undefined;
  if (typeof observe !== 'function') throw invalidOption(name, 'a function', observe);
  return (event) => callHarmless(() => observe(event));
}

/** Calls a function of the program that only learns of something: its errors and rejections are ignored. */
export function callHarmless(call: () => unknown): void {
  try {
    const returned = call();
    if (isThenable(returned)) returned.then(undefined, () => {});
  } catch {
    // Documented.
  }
}

/**
 * Refuses the promise of an async function where a function must answer at once: it would count as true, or as an object
 * without options. Throws `INVALID_OPTION`.
 */
export function refusePromise(name: string, expected: string, returned: unknown): void {
  if (!isThenable(returned)) return;
  returned.then(undefined, () => {});
  throw new QueueError('INVALID_OPTION', `${name}: expected ${expected}, not a promise`);
}

/** Whether it is a promise, also of another realm or library, or a callable one such as a query builder. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  return 'then' in value && typeof value.then === 'function';
}

/** Refuses values that are not objects, and unknown names, so that a misspelt option is not silently ignored. */
export function checkOptionNames(where: string, options: object | undefined, known: readonly string[]): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null) {
    throw invalidOption(where, 'an object with options', options);
  }
  refusePromise(where, 'an object with options', options);
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new QueueError(
        'INVALID_OPTION',
        `${where}: there is no option ${quote(name)}; the options are ${known.join(', ')}`,
      );
    }
  }
}
