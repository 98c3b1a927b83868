/** Formats the events of brokers and consumers as readable lines and as JSON fields. Pure. */
import type { BrokerEvent } from '../broker.js';
import type { ConsumerEvent } from '../consumer/consumer.js';

export interface EventLine {
  readonly event: string;
  readonly level: 'info' | 'warn';
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function brokerEventLine(event: BrokerEvent): EventLine {
  const line = (level: EventLine['level'], text: string, fields: EventLine['fields'] = {}): EventLine => ({
    event: event.type,
    level,
    text,
    fields,
  });
  switch (event.type) {
    case 'connected':
      return line('info', `connected to ${event.url} (${event.link})`, {
        link: event.link,
        broker: event.url,
      });
    case 'disconnected': {
      const next =
        event.retryInMs === undefined ? 'giving up' : `reconnecting in ${showDuration(event.retryInMs)}`;
      return line('warn', `connection lost (${event.link}): ${event.reason.message}; ${next}`, {
        link: event.link,
        reason: event.reason.message,
        retryInMs: event.retryInMs,
      });
    }
    case 'blocked':
      return line('warn', `the broker has blocked publishers: ${event.reason}`, {
        reason: event.reason,
      });
    case 'unblocked':
      return line('info', 'the broker accepts messages again');
    case 'resent':
      return line('info', `resent ${event.count} unconfirmed ${event.count === 1 ? 'message' : 'messages'}`, {
        count: event.count,
      });
    case 'unsubscribed':
      return line(
        'warn',
        `subscription to '${event.queue}' lost: ${event.reason.message}; retrying in ${showDuration(event.retryInMs)}`,
        { queue: event.queue, reason: event.reason.message, retryInMs: event.retryInMs },
      );
    case 'resubscribed':
      return line('info', `subscribed to '${event.queue}' again`, { queue: event.queue });
    case 'redefined':
      return line('warn', `'${event.queue}' was redefined: ${event.change}`, {
        queue: event.queue,
        change: event.change,
      });
    case 'dead-lettered':
      return line(
        'warn',
        `message ${event.id}: dead-lettered unhandled, ${event.failure.code}: ${event.failure.error}`,
        { queue: event.queue, id: event.id, reason: event.failure.code, error: event.failure.error },
      );
  }
}

/** Undefined for events that need no line: a message was handled, or returned before its handler started. */
export function consumerEventLine(event: ConsumerEvent): EventLine | undefined {
  if (event.type === 'handled' || event.type === 'released' || event.type === 'ended') return undefined;
  if (event.type === 'paused' || event.type === 'resumed') {
    const { type, queue } = event;
    const forMs = event.type === 'paused' ? event.forMs : undefined;
    const span = forMs === undefined ? '' : ` for ${showDuration(forMs)}`;
    return { event: type, level: 'info', text: `'${queue}': ${type}${span}`, fields: { queue, forMs } };
  }
  const { queue, id, attempt } = event;
  const line = (text: string, more: EventLine['fields']): EventLine => ({
    event: event.type,
    level: 'warn',
    text: `message ${id}: ${text}`,
    fields: { queue, id, attempt, ...more },
  });
  switch (event.type) {
    case 'retried':
      return line(
        `attempt ${attempt} failed (${event.failure.error}); retrying in ${showDuration(event.delayMs)}`,
        { reason: event.failure.code, error: event.failure.error, delayMs: event.delayMs },
      );
    case 'postponed':
      return line(`postponed by ${showDuration(event.delayMs)}`, { delayMs: event.delayMs });
    case 'dead-lettered':
      return line(`dead-lettered after attempt ${attempt}, ${event.failure.code}: ${event.failure.error}`, {
        reason: event.failure.code,
        error: event.failure.error,
      });
    case 'slow':
      return line(
        `slow: ${event.limit === 'broker' ? 'the broker redelivers it' : 'the attempt fails'} in ${showDuration(Math.round(event.leftMs))}`,
        {
          limit: event.limit,
          leftMs: Math.round(event.leftMs),
        },
      );
    case 'lost':
      return line(`lost before it was settled, and will be redelivered: ${event.error.message}`, {
        error: event.error.message,
      });
    case 'settle-failed':
      return line(
        `returned to the queue, because its retry or dead letter can't be stored: ${event.error.message}`,
        {
          error: event.error.message,
        },
      );
  }
}

export function showDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  return `${Number((ms / 60_000).toFixed(1))} min`;
}
