import {
  type Context,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace as traceApi,
} from '@opentelemetry/api';
import type { HeaderValue, MessageHeaders } from '../broker.js';
import type { Instrumentation, TracedBatch } from '../common/hooks/instrumentation.js';
import { harmless, type ProcessTrace, type RequestTrace, type SendTrace } from '../common/hooks/tracing.js';
import { errorText } from '../common/options.js';
import { commonAttributes, errorType, headerGetter, messageAttributes } from './messages.js';

/** How many messages of a batch its span is linked to. */
const MAX_LINKS = 128;

/** The spans of messages that are sent. They start and end with the events of the channels. */
export class SendSpans {
  readonly #tracer: Tracer;
  readonly #open = new WeakMap<object, Span>();

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  readonly send = {
    start: (sent: SendTrace) => this.#start(sent, sent.verb, SpanKind.PRODUCER),
    asyncEnd: (sent: SendTrace) => this.#end(sent),
  };

  readonly request = {
    start: (request: RequestTrace) => this.#start(request, 'request', SpanKind.CLIENT),
    asyncEnd: (request: RequestTrace) => this.#end(request),
  };

  #start(sent: SendTrace | RequestTrace, operation: string, kind: SpanKind): void {
    const attributes = {
      ...messageAttributes(sent, false),
      'messaging.operation.name': operation,
      'messaging.operation.type': 'send',
    };
    const span = this.#tracer.startSpan(`${operation} ${sent.queue}`, { kind, attributes });
    this.#open.set(sent, span);
    inject(traceApi.setSpan(context.active(), span), sent.headers);
  }

  #end(sent: SendTrace | RequestTrace): void {
    const span = this.#open.get(sent);
    if (span === undefined) return;
    if (sent.error !== undefined) fail(span, sent.error);
    span.end();
  }
}

/** What the sender set itself stays: the headers of the trace, which belong together, and the baggage. */
function inject(from: Context, headers: Record<string, HeaderValue>): void {
  const carrier: Record<string, string> = {};
  propagation.inject(from, carrier);
  const { baggage, ...trace } = carrier;
  if (baggage !== undefined && !Object.hasOwn(headers, 'baggage')) Object.assign(headers, { baggage });
  if (!Object.keys(trace).some((name) => Object.hasOwn(headers, name))) Object.assign(headers, trace);
}

/** The spans of handlers, which are active while these run. */
export class ProcessSpans implements Instrumentation {
  readonly #tracer: Tracer;
  /** Whether a handler continues the trace of the message. */
  readonly #continues: boolean;

  constructor(tracer: Tracer, continues: boolean) {
    this.#tracer = tracer;
    this.#continues = continues;
  }

  handle<T>(call: () => Promise<T>, message: ProcessTrace): Promise<T> {
    return within(() => this.#begin(message), call);
  }

  #begin(message: ProcessTrace): Begun {
    const sender = senderOf(message.headers);
    const attributes = {
      ...messageAttributes(message, true),
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'millrace.attempt': message.attempt,
      'millrace.redelivered': message.redelivered,
    };
    const options = { kind: SpanKind.CONSUMER, attributes, links: linksTo([sender]) };
    const span = this.#tracer.startSpan(
      `process ${message.queue}`,
      { ...options, root: !this.#continues },
      sender,
    );
    return { span, active: traceApi.setSpan(sender, span) };
  }

  handleBatch<T>(call: () => Promise<T>, batch: TracedBatch): Promise<T> {
    return within(() => this.#beginBatch(batch), call);
  }

  /** One span for all, linked to each: only one of them could be its parent. */
  #beginBatch({ queue, url, items }: TracedBatch): Begun {
    const senders = items.slice(0, MAX_LINKS).map(({ headers }) => senderOf(headers));
    const attributes = {
      ...commonAttributes({ queue, url }),
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.batch.message_count': items.length,
    };
    const options = { kind: SpanKind.CONSUMER, attributes, links: linksTo(senders), root: true };
    const span = this.#tracer.startSpan(`process ${queue}`, options, ROOT_CONTEXT);
    return { span, active: traceApi.setSpan(ROOT_CONTEXT, span) };
  }

  carry(): Readonly<Record<string, string>> {
    const carry = () => {
      const carrier: Record<string, string> = {};
      propagation.inject(context.active(), carrier);
      return carrier;
    };
    return harmless(carry) ?? {};
  }

  resume<T>(carried: Readonly<Record<string, string>>, call: () => T): T {
    const continued = harmless(() => propagation.extract(ROOT_CONTEXT, carried));
    return context.with(continued ?? ROOT_CONTEXT, call);
  }
}

function senderOf(headers: MessageHeaders): Context {
  return propagation.extract(ROOT_CONTEXT, headers, headerGetter);
}

function linksTo(senders: readonly Context[]): Link[] {
  return senders.flatMap((sender) => {
    const spanContext = traceApi.getSpanContext(sender);
    return spanContext === undefined ? [] : [{ context: spanContext }];
  });
}

interface Begun {
  readonly span: Span;
  /** The context of the handler. */
  readonly active: Context;
}

async function within<T>(begin: () => Begun, call: () => Promise<T>): Promise<T> {
  const begun = harmless(begin);
  if (begun === undefined) return call();
  const { span, active } = begun;
  try {
    return await context.with(active, call);
  } catch (error) {
    harmless(() => fail(span, error));
    throw error;
  } finally {
    harmless(() => span.end());
  }
}

function fail(span: Span, error: unknown): void {
  const message = errorText(error);
  span.setAttribute('error.type', errorType(error));
  span.setStatus({ code: SpanStatusCode.ERROR, message });
  span.recordException(error instanceof Error ? error : message);
}
