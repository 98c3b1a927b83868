/** Functions around each message of a producer, a requester or a consumer. */
import type { HeaderValue } from '../../broker.js';
import { QueueError } from '../../errors.js';
import { invalidOption } from '../options.js';

/**
 * Called around the rest of the processing of one message: `next` does that, and resolves to its result. It may act
 * before and after, call `next` within its own context, replace the result, or throw instead of calling `next`. Must
 * return a promise, and call `next` at most once. Around a handler, a function that resolves before its `next` has ended
 * is waited for until then, and an error of `next` counts.
 */
export type Around<Context> = <T>(next: () => Promise<T>, context: Context) => Promise<T>;

/** The context of a message that is being sent. */
export interface SendContext {
  /** The name of the queue; of a message to an exchange or a topic, its name. */
  readonly queue: string;
  /** The id of the message. */
  readonly id: string;
  /** Its headers. Those that are added here are sent along. Names that begin with `x-millrace-` are reserved. */
  readonly headers: Record<string, HeaderValue>;
}

/** The functions around a send or a request, as one; undefined for none. Throws `INVALID_OPTION`. */
export function aroundSendOption<Context>(
  around: readonly Around<Context>[] | undefined,
): Around<Context> | undefined {
  const list = checkedList(around);
  return list.length === 0 ? undefined : nested(list);
}

/**
 * The functions around a handler, as one; undefined for none. Each is waited for until its `next` has ended, so that no
 * message is acknowledged whose handler is still running. Throws `INVALID_OPTION`.
 */
export function aroundHandlerOption<Context>(
  around: readonly Around<Context>[] | undefined,
): Around<Context> | undefined {
  const list = checkedList(around);
  return list.length === 0 ? undefined : nested(list.map(waiting));
}

function checkedList<Context>(around: readonly Around<Context>[] | undefined): readonly Around<Context>[] {
  if (around === undefined) return [];
  if (Array.isArray(around) && around.every((each) => typeof each === 'function')) return [...around];
  throw invalidOption('around', 'a list of functions', around);
}

/** The first is the outermost. */
function nested<Context>(list: readonly Around<Context>[]): Around<Context> {
  return <T>(next: () => Promise<T>, context: Context) => {
    const from = (index: number): Promise<T> => {
      const each = list[index];
      return each === undefined
        ? next()
        : each(
            once(() => from(index + 1)),
            context,
          );
    };
    return from(0);
  };
}

function waiting<Context>(each: Around<Context>): Around<Context> {
  return async <T>(next: () => Promise<T>, context: Context) => {
    let pending: Promise<T> | undefined;
    const over = () => {
      pending = undefined;
    };
    const result = await each(() => {
      pending = next();
      // Registered first, so that a function which awaits it finds it over.
      pending.then(over, over);
      return pending;
    }, context);
    await pending;
    return result;
  };
}

function once<T>(next: () => Promise<T>): () => Promise<T> {
  let isCalled = false;
  // Always a promise, even if something is thrown.
  const callOnce = async () => {
    if (isCalled) throw new QueueError('INVALID_OPTION', 'around: next was called a second time');
    isCalled = true;
    return next();
  };
  return () => {
    const called = callOnce();
    // A function may not await it: a failure must not end the process.
    called.catch(() => {});
    return called;
  };
}
