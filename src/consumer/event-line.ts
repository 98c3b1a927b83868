/** Formats the events of consumers as readable lines and as JSON fields. */
import { type EventLine, showDuration } from '../common/reporting/event-line.js';
import type { ConsumerEvent } from './consumer.js';

/** Events that are not warnings. */
const LEVELS: Partial<Record<ConsumerEvent['type'], EventLine['level']>> = {
  postponed: 'info',
  'dead-lettered': 'error',
  'settle-failed': 'error',
};

/** Undefined for events that need no line: a message was handled, or returned before its handler started. */
export function consumerEventLine(event: ConsumerEvent): EventLine | undefined {
  if (event.type === 'handled' || event.type === 'released') return undefined;
  if (event.type === 'ended') {
    const { queue, error } = event;
    const text = `the consumer of '${queue}' has ended: ${error.message}`;
    return { event: 'ended', level: 'error', text, fields: { queue, error: error.message } };
  }
  if (event.type === 'paused' || event.type === 'resumed') {
    const { type, queue } = event;
    const forMs = event.type === 'paused' ? event.forMs : undefined;
    const span = forMs === undefined ? '' : ` for ${showDuration(forMs)}`;
    return { event: type, level: 'info', text: `'${queue}': ${type}${span}`, fields: { queue, forMs } };
  }
  const { queue, id, attempt } = event;
  const line = (text: string, more: EventLine['fields']): EventLine => ({
    event: event.type,
    level: LEVELS[event.type] ?? 'warn',
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
    case 'expired':
      return line('dropped: it expired before it was handled', {});
    case 'lost':
      return line(`lost before it was settled, and will be redelivered: ${event.error.message}`, {
        error: event.error.message,
      });
    case 'reply-failed':
      return line(`the reply can't be stored: ${event.error.message}`, { error: event.error.message });
    case 'settle-failed':
      return line(
        `returned to the queue, because its retry or dead letter can't be stored: ${event.error.message}`,
        {
          error: event.error.message,
        },
      );
  }
}
