/** Formats the events of brokers as readable lines and as JSON fields. */

import type { BrokerEvent } from '../../broker.js';
import { count } from './count.js';

export interface EventLine {
  readonly event: string;
  readonly level: 'info' | 'warn' | 'error';
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
    case 'waiting':
      return line('warn', `waiting for up to ${showDuration(event.leftMs)}: ${event.reason.message}`, {
        reason: event.reason.message,
        leftMs: event.leftMs,
      });
    case 'connected':
      return line('info', `connected to ${event.url} (${event.connection})`, {
        connection: event.connection,
        broker: event.url,
      });
    case 'disconnected': {
      const next =
        event.retryInMs === undefined ? 'giving up' : `reconnecting in ${showDuration(event.retryInMs)}`;
      return line(
        event.retryInMs === undefined ? 'error' : 'warn',
        `connection lost (${event.connection}): ${event.reason.message}; ${next}`,
        {
          connection: event.connection,
          reason: event.reason.message,
          retryInMs: event.retryInMs,
        },
      );
    }
    case 'blocked':
      return line('warn', `the broker has blocked publishers: ${event.reason}`, {
        reason: event.reason,
      });
    case 'unblocked':
      return line('info', 'the broker accepts messages again');
    case 'resent':
      return line('info', `resent ${count(event.count, 'unconfirmed message')}`, {
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
    case 'queue-paused':
      return line(
        'warn',
        `'${event.queue}' is paused: its consumers get nothing until it is resumed (millrace resume, or operatorOf(broker).resume)`,
        { queue: event.queue },
      );
    case 'ignored': {
      const whose = event.queue === undefined ? 'options of connect' : `arguments of '${event.queue}'`;
      return line('warn', `${whose} without effect on this broker: ${event.options.join(', ')}`, {
        queue: event.queue,
        options: event.options,
      });
    }
    case 'redefined':
      return line('warn', `'${event.queue}' was redefined: ${event.change}`, {
        queue: event.queue,
        change: event.change,
      });
    case 'dead-lettered':
      return line(
        'error',
        `message ${event.id}: dead-lettered unhandled, ${event.failure.code}: ${event.failure.error}`,
        { queue: event.queue, id: event.id, reason: event.failure.code, error: event.failure.error },
      );
    case 'delay-lost': {
      const which = event.count === 1 ? 'a delayed message was' : `${event.count} delayed messages were`;
      const missing = event.queues.map((queue) => `'${queue}'`).join(', ');
      return line(
        'error',
        `${which} moved to 'millrace.delay.lost', since the queue did not exist at the due time${missing === '' ? '' : `: ${missing}`}`,
        { count: event.count, queues: event.queues },
      );
    }
    case 'settle-failed':
      return line(
        'error',
        `message ${event.id}: returned to the queue, because its dead letter can't be stored: ${event.error.message}`,
        { queue: event.queue, id: event.id, error: event.error.message },
      );
  }
}

export function showDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  return `${Number((ms / 60_000).toFixed(1))} min`;
}
