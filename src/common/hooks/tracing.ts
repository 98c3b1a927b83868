/** The events that the package publishes on `node:diagnostics_channel`. Without subscribers they cost nothing. */
import { channel, subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import type { Failure, HeaderValue, MessageHeaders } from '../../broker.js';
import { errorText } from '../options.js';
import { emitWarning } from '../reporting/logger.js';

/** The message, and its destination or source. */
interface TracedMessage {
  /** The name of the queue; of a message to an exchange or a topic, its name. */
  readonly queue: string;
  /** The id of the message. */
  readonly id: string;
  /** The broker's address without its password; it begins with `local:` or `amqp`. */
  readonly url: string;
  /** `''` for the default exchange. */
  readonly exchange: string;
  /** On the default exchange: the name of the queue. */
  readonly routingKey: string;
}

/** The message of the `millrace.send` channels about one send. */
export interface SendTrace extends TracedMessage {
  /** The method that was called. */
  readonly verb: 'send' | 'publish';
  /** The message's headers. A subscriber of `start` may add some, such as `traceparent`; they are sent along. */
  readonly headers: Record<string, HeaderValue>;
  /** On `asyncEnd`, when it is stored. */
  readonly result?: { readonly id: string };
  /** On `error` and on what comes after it. */
  readonly error?: unknown;
}

/** The event of `millrace.request` for one request, from the call to the reply. */
export interface RequestTrace extends TracedMessage {
  /** As in {@link SendTrace}. */
  readonly headers: Record<string, HeaderValue>;
  /** Identifies the request and its reply. */
  readonly correlationId: string;
  /** On `asyncEnd`, what the handler returned. */
  readonly result?: unknown;
  /** On `error` and on what comes after it. */
  readonly error?: unknown;
}

/** The message of the `millrace.process` channels about one run of a handler. */
export interface ProcessTrace extends TracedMessage {
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Whether this message may have been handled before. */
  readonly redelivered: boolean;
  /** The headers of the message. */
  readonly headers: MessageHeaders;
  /** When the sender made the message, in milliseconds since the epoch. */
  readonly timestamp: number | undefined;
  /** Set on requests. */
  readonly correlationId: string | undefined;
  /** On `asyncEnd`, what the handler returned. */
  readonly result?: unknown;
  /** On `error` and later events: the error of the handler. */
  readonly error?: unknown;
}

/** The event of `millrace.settle` when the outcome of a consumer's message is decided and stored. */
export interface SettleTrace extends TracedMessage {
  /** As the events of a consumer's `observe` are called. */
  readonly outcome:
    | 'handled'
    | 'retried'
    | 'postponed'
    | 'dead-lettered'
    | 'expired'
    | 'released'
    | 'lost'
    | 'settle-failed';
  /** The attempt that has ended; 1 on the first try. */
  readonly attempt: number;
  /** Whether this message may have been handled before. */
  readonly redelivered: boolean;
  /** The headers of the message. */
  readonly headers: MessageHeaders;
  /** When it comes again, for `retried` and `postponed`. Milliseconds. */
  readonly delayMs?: number | undefined;
  /** Why it failed, for `retried` and `dead-lettered`. */
  readonly failure?: Failure | undefined;
  /** The thrown error, if any. */
  readonly error?: unknown;
}

/**
 * The part of a `TracingChannel` that the toolkit uses: named here, since projects without Node's types read this, too.
 */
interface TraceChannel<T> {
  readonly hasSubscribers: boolean;
  tracePromise<R>(action: () => Promise<R>, trace: T): Promise<R>;
}

interface EventChannel<T> {
  readonly hasSubscribers: boolean;
  publish(message: T): void;
}

const OF_A_PROCESS = /\.process-[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/**
 * The name of a queue as a label of metrics: without what makes the queue of a process unique (`each: 'process'`), which
 * would be another label with each start.
 */
export function measuredName(queue: string): string {
  return queue.replace(OF_A_PROCESS, '.process');
}

const MAX_LABEL = 200;

/** A label as the metrics have it: not of any length. */
export function cutLabel(value: string): string {
  return value.length <= MAX_LABEL ? value : `${value.slice(0, MAX_LABEL)}…`;
}

/** The name of a queue as the metrics have it. */
export function measuredLabel(queue: string): string {
  return cutLabel(measuredName(queue));
}

/** From the call of `send` until the message is stored. */
export const sendTracing: TraceChannel<SendTrace> = tracingChannel<unknown, SendTrace>('millrace.send');

/** From the call of `request` until its reply. */
export const requestTracing: TraceChannel<RequestTrace> = tracingChannel<unknown, RequestTrace>(
  'millrace.request',
);

/** From the call of a handler to its end. */
export const processTracing: TraceChannel<ProcessTrace> = tracingChannel<unknown, ProcessTrace>(
  'millrace.process',
);

/** The outcomes of a consumer's messages. */
export const settleChannel: EventChannel<SettleTrace> = channel('millrace.settle');

/**
 * Runs a part of tracing or metrics, whose errors must concern no message: the first is a process warning. Undefined if
 * it threw.
 */
export function harmless<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!hasWarned) {
      hasWarned = true;
      const text = `tracing or measuring a message failed; it is handled all the same: ${errorText(error)}`;
      emitWarning('MILLRACE_TELEMETRY', text, error);
    }
    return undefined;
  }
}

let hasWarned = false;

/** Subscribes to the start and the end of the events of a tracing channel. Returns a function that unsubscribes. */
export function onTrace<T extends object>(
  name: 'millrace.send' | 'millrace.request' | 'millrace.process',
  subscriber: { readonly start: (trace: T) => void; readonly asyncEnd: (trace: T) => void },
): () => void {
  const nothing = () => {};
  // What a subscriber of a channel throws would end the process.
  const start = (trace: T) => void harmless(() => subscriber.start(trace));
  const asyncEnd = (trace: T) => void harmless(() => subscriber.asyncEnd(trace));
  const all = { end: nothing, asyncStart: nothing, error: nothing, start, asyncEnd };
  const traced = tracingChannel<unknown, T>(name);
  traced.subscribe(all);
  return () => traced.unsubscribe(all);
}

/**
 * Measures how long traced operations take. Each instance keeps the start in a property of the trace of its own, so that
 * several subscribers can measure the same trace: a weak map costs the garbage collector more.
 */
export class TraceTimes {
  readonly #begun = Symbol('begun');

  /** `trace` begins now. */
  begin(trace: object): void {
    (trace as Times)[this.#begun] = performance.now();
  }

  /** False for what began before this was created. */
  hasBegun(trace: object): boolean {
    return (trace as Times)[this.#begun] !== undefined;
  }

  /** From its beginning until now. */
  secondsOf(trace: object): number {
    const now = performance.now();
    return (now - ((trace as Times)[this.#begun] ?? now)) / 1000;
  }
}

type Times = Record<symbol, number | undefined>;

/** Subscribes to the outcomes of messages. Returns a function that unsubscribes. */
export function onSettled(subscriber: (trace: SettleTrace) => void): () => void {
  const onMessage = (message: unknown) => void harmless(() => subscriber(message as SettleTrace));
  subscribe('millrace.settle', onMessage);
  return () => {
    unsubscribe('millrace.settle', onMessage);
  };
}
