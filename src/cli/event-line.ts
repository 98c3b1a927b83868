/** The events of brokers and consumers, as lines for people and as JSON fields. Pure. */
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
      return line('info', `connected to ${event.address} (${event.link})`, {
        link: event.link,
        broker: event.address,
      });
    case 'disconnected': {
      const next =
        event.retryInMs === undefined ? 'given up' : `next try in ${showDuration(event.retryInMs)}`;
      return line('warn', `connection lost (${event.link}): ${event.reason.message}; ${next}`, {
        link: event.link,
        reason: event.reason.message,
        retryInMs: event.retryInMs,
      });
    }
    case 'blocked':
      return line('warn', `the broker takes no messages at present: ${event.reason}`, {
        reason: event.reason,
      });
    case 'unblocked':
      return line('info', 'the broker takes messages again');
    case 'resent':
      return line('info', `sent ${event.count} unconfirmed messages again`, { count: event.count });
    case 'unsubscribed':
      return line(
        'warn',
        `'${event.queue}' delivers no more: ${event.reason.message}; next try in ${showDuration(event.retryInMs)}`,
        { queue: event.queue, reason: event.reason.message, retryInMs: event.retryInMs },
      );
    case 'resubscribed':
      return line('info', `'${event.queue}' delivers again`, { queue: event.queue });
  }
}

/** Undefined for what needs no line: a message that was handled, one that was given back unbegun. */
export function consumerEventLine(event: ConsumerEvent): EventLine | undefined {
  if (event.type === 'handled' || event.type === 'released' || event.type === 'ended') return undefined;
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
        `attempt ${attempt} failed (${event.failure.error}); again in ${showDuration(event.delayMs)}`,
        { reason: event.failure.code, error: event.failure.error, delayMs: event.delayMs },
      );
    case 'dead-lettered':
      return line(`a dead letter after attempt ${attempt}, ${event.failure.code}: ${event.failure.error}`, {
        reason: event.failure.code,
        error: event.failure.error,
      });
    case 'slow':
      return line(
        `takes long: ${event.limit === 'broker' ? 'the broker takes it back' : 'it counts as failed'} in ${showDuration(Math.round(event.leftMs))}`,
        {
          limit: event.limit,
          leftMs: Math.round(event.leftMs),
        },
      );
    case 'lost':
      return line(`taken away before it was done, and will come again: ${event.error.message}`, {
        error: event.error.message,
      });
    case 'settle-failed':
      return line(`given back, because its retry or dead letter can't be stored: ${event.error.message}`, {
        error: event.error.message,
      });
  }
}

export function showDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  return `${Number((ms / 60_000).toFixed(1))} min`;
}
