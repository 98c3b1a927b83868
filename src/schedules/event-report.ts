/** Reports the events of a scheduler to its observer and to the broker's logger, or as process warnings. */
import type { Broker } from '../broker.js';
import { type EventLine, showDuration } from '../common/reporting/event-line.js';
import { emitWarning, logEvent, loggerOf } from '../common/reporting/logger.js';

/** An event of a schedule. */
export type ScheduleEvent =
  /** This program may send its ticks from now on: on a local broker along with others, on RabbitMQ exclusively. */
  | { readonly type: 'held'; readonly schedule: string }
  /** The connection was lost, so another program may send them. */
  | { readonly type: 'lost'; readonly schedule: string; readonly reason: Error }
  | { readonly type: 'sent'; readonly schedule: string; readonly tick: Date; readonly id: string }
  /** The ticks from the first to the last of these passed while no scheduler ran, and are not sent. */
  | { readonly type: 'skipped'; readonly schedule: string; readonly from: Date; readonly to: Date }
  /** Another timing is in force: that of the program that started last. */
  | { readonly type: 'redefined'; readonly schedule: string; readonly from: string; readonly to: string }
  /** The last tick is hours ahead of the clock, which was wrong when that was sent: ticks follow the clock again. */
  | { readonly type: 'clock-set-back'; readonly schedule: string; readonly tick: Date }
  /** A tick could not be sent; it is retried after `retryInMs`. */
  | { readonly type: 'failed'; readonly schedule: string; readonly error: Error; readonly retryInMs: number }
  /** A function around a message threw after that was sent. It is not sent again. */
  | { readonly type: 'around-failed'; readonly schedule: string; readonly id: string; readonly error: Error };

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

/** Emits each warning once for each schedule. */
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
