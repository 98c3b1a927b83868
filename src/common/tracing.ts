import { tracingChannel } from 'node:diagnostics_channel';
import type { HeaderValue, MessageHeaders } from '../broker.js';

/** What the channels of `millrace.send` publish about the send of one message. */
export interface SendTrace {
  /** The name of the queue. */
  readonly queue: string;
  /** The id of the message. */
  readonly id: string;
  /** The message's headers. A subscriber of `start` may add some, such as `traceparent`; they are sent along. */
  readonly headers: Record<string, HeaderValue>;
  /** On `asyncEnd`, when it is stored. */
  readonly result?: { readonly id: string };
  /** On `error` and on what comes after it. */
  readonly error?: unknown;
}

/** What the channels of `millrace.process` publish about one run of a handler. */
export interface ProcessTrace {
  /** The name of the queue. */
  readonly queue: string;
  /** The id of the message. */
  readonly id: string;
  /** 1 on the first try. */
  readonly attempt: number;
  /** Whether this message may have been handled before. */
  readonly redelivered: boolean;
  /** The headers of the message. */
  readonly headers: MessageHeaders;
  /** Set on requests. */
  readonly correlationId: string | undefined;
  /** On `asyncEnd`, what the handler returned. */
  readonly result?: unknown;
  /** On `error` and on what comes after it: what the handler threw. */
  readonly error?: unknown;
}

/** What the toolkit uses of a `TracingChannel`: named here, since projects without Node's types read this, too. */
interface TraceChannel<T> {
  readonly hasSubscribers: boolean;
  tracePromise<R>(action: () => Promise<R>, trace: T): Promise<R>;
}

/** From the call of `send` until the message is stored. Costs nothing while nobody listens. */
export const sendTracing: TraceChannel<SendTrace> = tracingChannel<unknown, SendTrace>('millrace.send');

/** From the call of a handler to its end. Costs nothing while nobody listens. */
export const processTracing: TraceChannel<ProcessTrace> = tracingChannel<unknown, ProcessTrace>(
  'millrace.process',
);
