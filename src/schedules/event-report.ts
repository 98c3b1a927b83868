/** Reports the events of a scheduler to its observer and to the broker's logger, or as process warnings. */
import type { Broker } from '../broker.js';
import { type EventLine, showDuration } from '../common/reporting/event-line.js';
import { emitWarning, logEvent, loggerOf } from '../common/reporting/logger.js';
import type { ScheduleEvent } from './running-schedule.js';

/** `observe`: the scheduler's observer, which never throws. */
export function scheduleObserver(
  broker: Broker,
  observe: ((event: ScheduleEvent) => void) | undefined,
): (event: ScheduleEvent) => void {
  const logger = loggerOf(broker);
  if (logger === undefined) return observe ?? warnOnce();
  return (event) => {
    observe?.(event);
    const line = scheduleEventLine(event);
    if (line !== undefined) logEvent(logger, line, 'error' in event ? event.error : undefined);
  };
}

/** Undefined for events that need no line: a schedule was taken over, or a tick was sent. */
function scheduleEventLine(event: ScheduleEvent): EventLine | undefined {
  const line = (text: string, fields: EventLine['fields']): EventLine => ({
    event: event.type,
    level: 'warn',
    text: `schedule '${event.schedule}': ${text}`,
    fields: { schedule: event.schedule, ...fields },
  });
  switch (event.type) {
    case 'held':
    case 'sent':
      return undefined;
    case 'lost':
      return line(`lost to other programs: ${event.reason.message}`, { reason: event.reason.message });
    case 'skipped': {
      const { from, to } = event;
      return line(`skipped the ticks from ${from.toISOString()} to ${to.toISOString()}`, { from, to });
    }
    case 'redefined':
      return line(`redefined from ${event.from} to ${event.to}`, { from: event.from, to: event.to });
    case 'clock-set-back':
      return line(`the clock was set back; the last tick was ${event.tick.toISOString()}`, {
        tick: event.tick,
      });
    case 'failed': {
      const { error, retryInMs } = event;
      const text = `can't send (${error.message}); retrying in ${showDuration(retryInMs)}`;
      return line(text, { error: error.message, retryInMs });
    }
    case 'around-failed': {
      const { id, error } = event;
      return line(`message ${id} was sent; ${lateText(error)}`, { id, error: error.message });
    }
  }
}

function lateText({ message }: Error): string {
  return `an 'around' function threw afterwards: ${message}`;
}

/** Each once for each schedule. */
function warnOnce(): (event: ScheduleEvent) => void {
  const warned = new Set<string>();
  return (event) => {
    const { type, schedule } = event;
    if (type !== 'failed' && type !== 'around-failed') return;
    if (warned.has(`${type} ${schedule}`)) return;
    warned.add(`${type} ${schedule}`);
    const text =
      type === 'failed'
        ? `can't send at the moment, and will try again: ${event.error.message}`
        : `has sent the message ${event.id}; ${lateText(event.error)}`;
    emitWarning('MILLRACE_SCHEDULE', `the schedule '${schedule}' ${text}`, event.error);
  };
}
