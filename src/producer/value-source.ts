/** Takes values from any kind of iterable, even faulty ones. */
import { invalidOption, isThenable } from '../common/options.js';

/** The sources of values for `sendMany` and `publishMany`. */
export type Values<T> = Iterable<T> | AsyncIterable<T>;

/** The result of taking a value. */
export type Step<T> =
  | { readonly type: 'value'; readonly value: T }
  | { readonly type: 'end' }
  | { readonly type: 'error'; readonly error: unknown };

/** One interface for synchronous and asynchronous iterators. */
export class ValueSource<T> {
  readonly #iterator: Iterator<T> | AsyncIterator<T>;

  /** Throws `INVALID_OPTION`, which names the method that was called. */
  constructor(values: Values<T>, method: string) {
    this.#iterator = iteratorOf(values, method);
  }

  /** A promise only if the iterator returns one. Never throws or rejects. */
  next(): Step<T> | Promise<Step<T>> {
    try {
      const result = this.#iterator.next();
      return isThenable(result)
        ? Promise.resolve(result)
            .then(toStep<T>)
            .catch(toError<T>)
        : toStep(result);
    } catch (error) {
      return toError(error);
    }
  }

  /** Lets the iterator clean up. Not awaited: a generator may hang in its own `await`. */
  release(): void {
    try {
      Promise.resolve(this.#iterator.return?.()).catch(() => {});
    } catch {
      // The error of the send is the one to report.
    }
  }
}

function toStep<T>(result: IteratorResult<T>): Step<T> {
  return result.done === true ? { type: 'end' } : { type: 'value', value: result.value };
}

function toError<T>(error: unknown): Step<T> {
  return { type: 'error', error };
}

function iteratorOf<T>(values: Values<T>, method: string): Iterator<T> | AsyncIterator<T> {
  if (typeof values === 'object' && values !== null) {
    if (Symbol.asyncIterator in values) return values[Symbol.asyncIterator]();
    if (Symbol.iterator in values) return values[Symbol.iterator]();
  }
  throw invalidOption(method, 'an iterable or async iterable of values', values);
}
