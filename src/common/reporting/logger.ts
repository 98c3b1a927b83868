/** Reports the events of brokers and consumers to the program's logger, or as process warnings. */
import type { Broker, BrokerEvent } from '../../broker.js';
import { isQueueError, QueueError } from '../../errors.js';
import { callHarmless, observerOption } from '../options.js';
import { brokerEventLine, type EventLine } from './event-line.js';
import { onOneLine } from './terminal-text.js';

/**
 * Called with an object and a text: pino, bunyan. `console` gets the text alone, with the name of the queue, and with the stack of
 * an error that is not millrace's own. What its methods throw is ignored.
 */
export interface Logger {
  /** Progress, such as a reconnect. */
  info(fields: object, text: string): void;
  /** Failures that the toolkit handles itself, such as a retry. */
  warn(fields: object, text: string): void;
  /** Failures that it can't handle, such as a consumer that ends. */
  error(fields: object, text: string): void;
}

const LEVELS = ['info', 'warn', 'error'] as const satisfies readonly (keyof Logger)[];

/** Throws `INVALID_OPTION`. */
export function checkLogger(logger: Logger | undefined): void {
  if (logger === undefined) return;
  const methods = (logger ?? {}) as Partial<Logger>;
  const missing = LEVELS.filter((level) => typeof methods[level] !== 'function');
  if (missing.length === 0) return;
  // Not quoted: a logger is large.
  const text = `logger: expected an object with the methods info, warn and error; it has no ${missing.join(', ')}`;
  throw new QueueError('INVALID_OPTION', text);
}

const loggers = new WeakMap<Broker, Logger>();

/** Everything that is made with this broker writes to the logger. */
export function useLogger(broker: Broker, logger: Logger | undefined): void {
  if (logger !== undefined) loggers.set(broker, logger);
}

/** The options of `connect` for this broker. */
export function loggerOf(broker: Broker): Logger | undefined {
  return loggers.get(broker);
}

/** Writes the line of an event. `error`: the thrown error, if any. Never throws. */
export function logEvent(logger: Logger, line: EventLine, error?: unknown): void {
  const { event, level, text, fields } = line;
  // A logger must not interrupt the code that logs.
  callHarmless(() => {
    if (logger !== console)
      return logger[level](
        { event, ...fields, ...(error instanceof Error && { err: error }) },
        onOneLine(text),
      );
    const named = onOneLine(withQueue(line));
    const { detail } = isQueueError(error) ? {} : detailOf(error);
    console[level](detail === undefined ? named : `${named}\n${detail}`);
  });
}

/** For readers who do not get the fields. */
function withQueue({ text, fields: { queue } }: EventLine): string {
  return typeof queue !== 'string' || text.includes(`'${queue}'`) ? text : `'${queue}': ${text}`;
}

/** Writes a process warning, which `--disable-warning=MillraceWarning`, or its code, turns off. */
export function emitWarning(code: string, text: string, error?: unknown): void {
  process.emitWarning(onOneLine(text), { type: 'MillraceWarning', code, ...detailOf(error) });
}

/** The stack of an error, and of its causes. Node.js writes it below the warning, as it is: it is made safe here. */
function detailOf(error: unknown): { readonly detail?: string } {
  try {
    if (!(error instanceof Error) || typeof error.stack !== 'string') return {};
    return { detail: error.stack.split('\n').slice(0, MAX_STACK_LINES).map(onOneLine).join('\n') };
  } catch {
    return {};
  }
}

const MAX_STACK_LINES = 12;

/** After a warning, further ones of its kind are suppressed, or only counted, for this long. Milliseconds. */
export const QUIET_MS = 10_000;

/**
 * The observer of a broker: its own one, and the one that writes to the logger. Without either, failures become process
 * warnings. Throws `INVALID_OPTION`.
 */
export function brokerObserver(
  observe: ((event: BrokerEvent) => void) | undefined,
  logger: Logger | undefined,
): (event: BrokerEvent) => void {
  const own = observerOption(observe);
  if (logger === undefined) return own ?? warningsOf();
  return (event) => {
    own?.(event);
    logEvent(logger, brokerEventLine(event), errorOf(event));
  };
}

function errorOf(event: BrokerEvent): unknown {
  if ('error' in event) return event.error;
  return 'reason' in event ? event.reason : undefined;
}

/**
 * Messages that no consumer gets to see, a broker that is not there yet or stays away, a connection that is given up, and
 * subscriptions that the broker ends, or to which it delivers nothing.
 */
function warningsOf(): (event: BrokerEvent) => void {
  const codes: Partial<Record<BrokerEvent['type'], string>> = {
    'dead-lettered': 'MILLRACE_DEAD_LETTER',
    'settle-failed': 'MILLRACE_SETTLE_FAILED',
    'delay-lost': 'MILLRACE_DELAY_LOST',
    disconnected: 'MILLRACE_DISCONNECTED',
    waiting: 'MILLRACE_WAITING',
    unsubscribed: 'MILLRACE_UNSUBSCRIBED',
    blocked: 'MILLRACE_BLOCKED',
    ignored: 'MILLRACE_IGNORED',
    'queue-paused': 'MILLRACE_PAUSED',
  };
  const warnedAt = new Map<string, number>();
  const isWorthAWarning = outages();
  return (event) => {
    const code = codes[event.type];
    if (!isWorthAWarning(event) || code === undefined) return;
    const now = performance.now();
    // Emitted once in any case.
    const isLast =
      event.type === 'ignored' || (event.type === 'disconnected' && event.retryInMs === undefined);
    // Each queue that is paused is another reason why nothing arrives.
    const kind = event.type === 'queue-paused' ? `${code} ${event.queue}` : code;
    if (!isLast && now - (warnedAt.get(kind) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return;
    warnedAt.set(kind, now);
    // The stack of a failed attempt to connect is useless: all attempts fail at the same place.
    const error = event.type === 'waiting' ? undefined : errorOf(event);
    emitWarning(code, withQueue(brokerEventLine(event)), error);
  };
}

/** A lost connection is usually back in a moment: each outage counts once, after a while, or when it is given up. */
function outages(): (event: BrokerEvent) => boolean {
  const lostAt = new Map<string, number>();
  return (event) => {
    if (event.type === 'connected') lostAt.delete(event.connection);
    if (event.type !== 'disconnected' || event.retryInMs === undefined) return true;
    const since = lostAt.get(event.connection) ?? performance.now();
    const isLong = performance.now() - since >= QUIET_MS;
    lostAt.set(event.connection, isLong ? Number.POSITIVE_INFINITY : since);
    return isLong;
  };
}
