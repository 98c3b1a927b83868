import { beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import type { Around, SendContext } from '../../src/common/hooks/around.js';
import { connect } from '../../src/connect.js';
import { defineQueue } from '../../src/queue.js';
import type { ScheduleEvent } from '../../src/schedules/event-report.js';
import { defineSchedule } from '../../src/schedules/schedule.js';
import { createScheduler } from '../../src/schedules/scheduler.js';
import { eventually } from '../support/eventually.js';
import { recordWarnings, type SeenWarning } from '../support/warnings.js';

const queue = defineQueue('reports', z.string());
/** Its ticks can't be sent. */
const failing = defineSchedule('failing', {
  everyMs: 100,
  send: [
    queue,
    () => {
      throw new Error('no report today');
    },
  ],
});
const working = defineSchedule('working', { everyMs: 100, send: [queue, 'x'] });
const auditing: Around<SendContext> = async (next) => {
  await next();
  throw new Error('the audit log is away');
};
let warnings: readonly SeenWarning[];
beforeEach(() => {
  warnings = recordWarnings('MILLRACE_SCHEDULE');
});

/** A logger that keeps what it gets. */
function keepingLogger() {
  const lines: { readonly level: string; readonly fields: object; readonly text: string }[] = [];
  const at = (level: string) => (fields: object, text: string) => lines.push({ level, fields, text });
  return { lines, logger: { info: at('info'), warn: at('warn'), error: at('error') } };
}

test("a scheduler reports to the broker's logger, and emits no process warning then", async () => {
  const { lines, logger } = keepingLogger();
  const broker = await connect('local:', { logger });
  const scheduler = createScheduler(broker, [failing]);
  await scheduler.start();
  const line = await eventually(() => lines.find(({ text }) => text.includes('no report today')) ?? false);
  expect(line).toMatchObject({
    level: 'warn',
    fields: { event: 'failed', schedule: 'failing', err: expect.any(Error), retryInMs: expect.any(Number) },
    text: expect.stringMatching(
      /^schedule 'failing': can't send \(.*no report today.*\); retrying in \d+ ms$/,
    ),
  });
  await scheduler.stop();
  await broker.close();
  expect(warnings).toEqual([]);
});

test('its observer gets the events as well as the logger', async () => {
  const { lines, logger } = keepingLogger();
  const broker = await connect('local:', { logger });
  const events: ScheduleEvent[] = [];
  const scheduler = createScheduler(broker, [failing], { observe: (event) => events.push(event) });
  await scheduler.start();
  await eventually(() => events.some(({ type }) => type === 'failed'));
  await scheduler.stop();
  await broker.close();
  expect(events.map(({ type }) => type)).toContain('held');
  expect(lines.map(({ fields }) => 'event' in fields && fields.event)).toContain('failed');
});

test('without a logger and an observer, a tick that fails is one process warning', async () => {
  const broker = await connect('local:');
  const scheduler = createScheduler(broker, [failing]);
  await scheduler.start();
  await eventually(() => warnings.length > 0);
  await scheduler.stop();
  await broker.close();
  expect(warnings.map(({ code }) => code)).toEqual(['MILLRACE_SCHEDULE']);
});

test('a function that throws after its message was sent is an event, a line of the logger, and nothing else', async () => {
  const { lines, logger } = keepingLogger();
  const broker = await connect('local:', { logger });
  const events: ScheduleEvent[] = [];
  const observe = (event: ScheduleEvent) => events.push(event);
  const scheduler = createScheduler(broker, [working], { around: [auditing], observe });
  const { id } = await scheduler.runNow('working');
  await scheduler.start();
  await eventually(() => events.some(({ type }) => type === 'sent'));
  await scheduler.stop();
  await broker.close();
  expect(events[0]).toEqual({ type: 'around-failed', schedule: 'working', id, error: expect.any(Error) });
  const ids = (wanted: ScheduleEvent['type']) =>
    events.flatMap((event) => (event.type === wanted && 'id' in event ? event.id : []));
  expect(ids('around-failed')).toEqual([id, ...ids('sent')]);
  expect(ids('failed')).toEqual([]);
  expect(lines[0]).toMatchObject({
    level: 'warn',
    fields: { event: 'around-failed', schedule: 'working', id, err: expect.any(Error) },
    text: `schedule 'working': message ${id} was sent; an 'around' function threw afterwards: the audit log is away`,
  });
  expect(warnings).toEqual([]);
});

test('without a logger and an observer, a function that throws late is one process warning', async () => {
  const broker = await connect('local:');
  const scheduler = createScheduler(broker, [working], { around: [auditing] });
  for (let times = 0; times < 3; times++) await scheduler.runNow('working');
  await eventually(() => warnings.length > 0);
  await scheduler.stop();
  await broker.close();
  expect(warnings.map(({ code }) => code)).toEqual(['MILLRACE_SCHEDULE']);
});
