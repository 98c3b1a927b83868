/** The messages between a consumer and the threads of its handler, and the code that runs inside a thread. */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { instrumentation } from '../common/hooks/instrumentation.js';
import { replyJson } from '../common/message/reply-format.js';
import { errorText } from '../common/options.js';
import { Postpone, RejectMessage, RetryLater } from '../errors.js';
import type { Handler, HandlerContext } from './consumer.js';
import { thrown } from './settlement.js';

/** The task of a thread. All of it is passed as structured clones, except for the port, which is transferred. */
export interface ThreadTask {
  /** The URL of the module whose default export is the handler. */
  readonly module: string;
  /** Undefined: only load the module. */
  readonly call: ThreadCall | undefined;
}

interface ThreadCall {
  readonly value: unknown;
  readonly context: Omit<HandlerContext, 'signal'>;
  /** Whether the return value is sent as a reply. */
  readonly wantsReply: boolean;
  /** The active context around the handler, if it is traced. */
  readonly carried: Readonly<Record<string, string>> | undefined;
  /** Notifies the consumer that the handler starts, and receives the reason for aborting its signal. */
  readonly port: MessagePort;
}

export type ThreadResult =
  | { readonly ok: true; readonly reply: EncodedReply | undefined }
  | { readonly ok: false; readonly failure: ThreadFailure };

/** A return value as JSON, or why it can't be sent: encoded in its thread, since a clone loses its class and `toJSON`. */
type EncodedReply = { readonly json: string } | { readonly error: string };

/** A value with the same JSON as the one that the handler returned in its thread, which may have none. */
export function replyValue(reply: EncodedReply): unknown {
  if ('json' in reply) return JSON.parse(reply.json);
  return {
    toJSON() {
      throw new TypeError(reply.error);
    },
  };
}

/** An error of the other thread: a structured clone would lose most of it. */
interface ThreadFailure {
  /** Set for `RejectMessage`, `RetryLater` and `Postpone`. */
  readonly verdict: 'reject' | 'retry-later' | 'postpone' | undefined;
  /** The delay of a `RetryLater` or `Postpone`. */
  readonly delayMs: number | undefined;
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly stack: string | undefined;
  /** Its `cause` and `errors`, if they are errors. */
  readonly cause: ThreadFailure | undefined;
  readonly errors: readonly ThreadFailure[];
}

/** Of causes of causes, and of the errors of an `AggregateError`, that cross between threads. */
const MAX_DEPTH = 4;
const MAX_ERRORS = 5;

/** An error in the form that crosses between threads. Never throws. `above`: the errors that it belongs to. */
export function toFailure(error: unknown, above: readonly unknown[] = []): ThreadFailure {
  const message = errorText(error);
  const verdict = verdictOf(error);
  try {
    if (error instanceof Error) {
      const { name, stack } = error;
      const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
      const causes = causesOf(error, [...above, error]);
      return { ...verdict, name: String(name), message, code, stack: stack && String(stack), ...causes };
    }
  } catch {
    // A getter that throws.
  }
  return {
    ...verdict,
    name: 'Error',
    message,
    code: undefined,
    stack: undefined,
    cause: undefined,
    errors: [],
  };
}

function causesOf(error: Error, above: readonly unknown[]): Pick<ThreadFailure, 'cause' | 'errors'> {
  const pass = (one: unknown) =>
    one instanceof Error && !above.includes(one) ? [toFailure(one, above)] : [];
  if (above.length > MAX_DEPTH) return { cause: undefined, errors: [] };
  const errors = 'errors' in error && Array.isArray(error.errors) ? error.errors.slice(0, MAX_ERRORS) : [];
  return { cause: pass(error.cause)[0], errors: errors.flatMap(pass) };
}

function verdictOf(error: unknown): Pick<ThreadFailure, 'verdict' | 'delayMs'> {
  const outcome = thrown(error);
  if (outcome.type === 'hopeless') return { verdict: 'reject', delayMs: undefined };
  if (outcome.type === 'postponed') return { verdict: 'postpone', delayMs: outcome.delayMs };
  const { delayMs } = outcome;
  return { verdict: delayMs === undefined ? undefined : 'retry-later', delayMs };
}

/** An error that came from the other thread. */
export function toError(failure: ThreadFailure): Error {
  const { name, code, stack, cause, errors } = failure;
  const error = withVerdict(failure);
  if (failure.verdict === undefined) error.name = name;
  if (stack !== undefined) error.stack = stack;
  if (cause !== undefined) error.cause = toError(cause);
  if (errors.length > 0) Object.assign(error, { errors: errors.map(toError) });
  return code === undefined ? error : Object.assign(error, { code });
}

function withVerdict({ verdict, delayMs = 0, message }: ThreadFailure): Error {
  if (verdict === 'reject') return new RejectMessage(message);
  if (verdict === 'retry-later') return new RetryLater(delayMs, message);
  return verdict === 'postpone' ? new Postpone(delayMs, message) : new Error(message);
}

/** Never rejects: outside, a rejection means that the thread itself has ended. */
export default async function runInThread({ module, call }: ThreadTask): Promise<ThreadResult> {
  try {
    const handler = await handlerOf(module);
    return { ok: true, reply: call === undefined ? undefined : await callHandler(handler, call) };
  } catch (error) {
    return { ok: false, failure: toFailure(error) };
  } finally {
    call?.port.close();
  }
}

async function callHandler(
  handler: Handler<unknown>,
  { value, context, wantsReply, carried, port }: ThreadCall,
): Promise<EncodedReply | undefined> {
  // The time may be over before the module was loaded.
  const early = receiveMessageOnPort(port)?.message as ThreadFailure | undefined;
  if (early !== undefined) throw toError(early);
  port.postMessage('begun');
  const controller = new AbortController();
  port.on('message', (failure: ThreadFailure) => controller.abort(toError(failure)));
  const call = () => handler(value, { ...context, signal: controller.signal });
  const { current } = instrumentation;
  const result = await (current === undefined || carried === undefined
    ? call()
    : current.resume(carried, call));
  return wantsReply ? encoded(result) : undefined;
}

/** Never throws: the handler has done its work. */
function encoded(result: unknown): EncodedReply | undefined {
  try {
    const json = replyJson(result);
    return json === undefined ? undefined : { json };
  } catch (error) {
    return { error: errorText(error) };
  }
}

async function handlerOf(module: string): Promise<Handler<unknown>> {
  const exports = await import(module);
  // In CommonJS that was compiled from `export default`, the `default` that Node adds contains another one.
  const handler = exports.default?.__esModule === true ? exports.default.default : exports.default;
  if (typeof handler === 'function') return handler;
  throw new TypeError('its default export must be the handler, a function');
}
