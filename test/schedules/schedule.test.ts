import { expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import type { WaitOptions } from '../../src/broker.js';
import { backendOf } from '../../src/common/backend-of.js';
import { connect } from '../../src/connect.js';
import { QueueError } from '../../src/errors.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { defineSchedule, type ScheduleOptions } from '../../src/schedules/schedule.js';
import { createScheduler, forgetSchedule } from '../../src/schedules/scheduler.js';
import { defineTopic } from '../../src/topics/topic.js';
import { eventually } from '../support/eventually.js';
import { rejection, watch } from '../support/rejection.js';

const queue = defineQueue('reports', z.object({ day: z.string() }));
const days = defineTopic('days', { ended: z.object({ day: z.string() }) });
const send = [queue, { day: 'today' }] as const;

const wrong: readonly [title: string, name: unknown, options: unknown, text: RegExp][] = [
  ['an empty name', '', { everyMs: 1000, send }, /name: expected a text of 1 to 200 bytes/],
  ['a long name', 'n'.repeat(201), { everyMs: 1000, send }, /name: expected a text of 1 to 200 bytes/],
  ['an unknown option', 'n', { every: 1000, send }, /there is no option "every"; the options are cron, tz/],
  [
    'an unknown catchUp',
    'n',
    { everyMs: 1000, send, catchUp: 'some' },
    /catchUp: expected 'skip' or 'last' or 'all', got "some"/,
  ],
  [
    'no queue',
    'n',
    { everyMs: 1000, send: ['reports', 1] },
    /send: expected \[queue, value\] with a queue made by defineQueue/,
  ],
  ['no value', 'n', { everyMs: 1000, send: [queue] }, /send: expected \[queue, value\]/],
  [
    'a topic to send to',
    'n',
    { everyMs: 1000, send: [days, 'ended', {}] },
    /send: expected .* For an event of a topic: publish: \[topic, 'event', value\]$/,
  ],
  [
    'an event that is not in the topic',
    'n',
    { everyMs: 1000, publish: [days, '__proto__', {}] },
    /publish: the topic 'days' has no event "__proto__"; its events are "ended"/,
  ],
  [
    'a queue to publish to',
    'n',
    { everyMs: 1000, publish: [queue, 'ended', {}] },
    /publish: expected \[topic/,
  ],
  ['an event without a value', 'n', { everyMs: 1000, publish: [days, 'ended'] }, /publish: expected \[topic/],
  [
    'a type of an event',
    'n',
    { everyMs: 1000, publish: [days, 'ended', { day: 'x' }, { type: 'other' }] },
    /publish: there is no option "type"/,
  ],
  [
    'a queue and a topic',
    'n',
    { everyMs: 1000, send, publish: [days, 'ended', { day: 'x' }] },
    /send and publish exclude each other/,
  ],
  ['no options', 'n', undefined, /defineSchedule: expected a name and an object with options/],
];

test.each(wrong)('%s: refused with a sentence', async (_title, name, options, text) => {
  const define = async () => defineSchedule(name as string, options as ScheduleOptions<unknown>);
  expect((await rejection(define(), 'INVALID_OPTION')).message).toMatch(text);
});

test('a value that fails the schema of its queue is refused where it is defined', async () => {
  const define = async () =>
    defineSchedule('n', { everyMs: 1000, send: [queue, { day: 1 as unknown as string }] });
  expect((await rejection(define(), 'INVALID_MESSAGE')).message).toMatch(
    /^send: a value for 'reports' fails its schema/,
  );
  const publish = async () =>
    defineSchedule('n', { everyMs: 1000, publish: [days, 'ended', { day: 1 as unknown as string }] });
  expect((await rejection(publish(), 'INVALID_MESSAGE')).message).toMatch(
    /^publish: a value for 'days ended' fails its schema/,
  );
});

test('refuses two schedules with the same name, and values that are not schedules', async () => {
  await using broker = await connect('local:');
  const one = defineSchedule('n', { everyMs: 1000, send });
  const create = (schedules: unknown) => async () => createScheduler(broker, schedules as [typeof one]);
  const twice = await rejection(create([one, one])(), 'INVALID_OPTION');
  expect(twice.message).toBe('schedules: expected one schedule of each name, got "n, n"');
  await rejection(create([queue])(), 'INVALID_OPTION');
  await rejection(create(one)(), 'INVALID_OPTION');
});

test('a scheduler that is stopped while it starts rejects with CLOSED', async () => {
  await using broker = await connect('local:');
  const scheduler = createScheduler(broker, [defineSchedule('n', { everyMs: 1000, send })]);
  const starting = scheduler.start();
  const stopping = scheduler.stop();
  await Promise.all([starting.catch(() => {}), stopping]);
  await rejection(scheduler.start(), 'CLOSED');
});

test('forgetting a schedule that is held ends with ABORTED when it is aborted', async () => {
  await using memory = await connect('local:');
  const abort = new AbortController();
  const viewState = async (_name: string, { signal }: WaitOptions = {}) => {
    signal?.throwIfAborted();
    abort.abort(new QueueError('ABORTED', 'by the test'));
    return { values: [], isHeld: true };
  };
  const held = Object.assign(Object.create(memory), { viewState });
  await rejection(forgetSchedule(held, 'n', { signal: abort.signal }), 'ABORTED');
});

test('a scheduler that catches up in memory lets other events through, and stops meanwhile', async () => {
  await using broker = await connect('local:');
  const unbounded = defineQueue('unbounded', z.object({ day: z.string() }), {
    capacity: Number.POSITIVE_INFINITY,
  });
  const since = Date.now() - 20_000 * 100;
  const progress = { timing: { everyMs: 100 }, chosenAt: 0, since, tick: null, resets: 0 };
  const state = await backendOf(broker).openState('schedule.n', {
    initial: JSON.stringify(progress),
    merge: (value) => value,
    onTurn: () => {},
    onLost: () => {},
  });
  await state.close();
  let sent = 0;
  const often = defineSchedule('n', {
    everyMs: 100,
    catchUp: 'all',
    send: [unbounded, { day: 'x' }],
  });
  const scheduler = createScheduler(broker, [often], {
    observe: ({ type }) => {
      if (type === 'sent') sent++;
    },
  });
  const stopped = new Promise((resolve) => setTimeout(() => resolve(scheduler.stop()), 1));
  await scheduler.start().catch(() => {});
  await stopped;
  expect(sent).toBeLessThan(20_000);
});

test('a scheduler stops, whatever functions never end', async () => {
  await using broker = await connect('local:');
  const called: string[] = [];
  const never = (what: string) => () => {
    called.push(what);
    return new Promise<never>(() => {});
  };
  const value = defineSchedule('value', { everyMs: 1000, send: [queue, never('value')] });
  const around = defineSchedule('around', { everyMs: 1000, send });
  const one = createScheduler(broker, [value]);
  const other = createScheduler(broker, [around], { around: [never('around')] });
  await Promise.all([one.start(), other.start()]);
  await eventually(() => called.length === 2);
  await Promise.all([one.stop(), other.stop()]);
  expect(await broker.inspect(queue.name)).toMatchObject({ ready: 0 });
});

test.each(['set', 'removed'] as const)(
  'a message whose schedule a function has %s in its headers is INVALID_MESSAGE, and not sent',
  async (what) => {
    await using broker = await connect('local:');
    const scheduler = createScheduler(broker, [defineSchedule('n', { cron: '0 0 29 2 *', send })], {
      around: [
        (next, { headers }) => {
          if (what === 'set') headers['x-millrace-schedule'] = 'another';
          else delete headers['x-millrace-schedule'];
          return next();
        },
      ],
    });
    const { message } = await rejection(scheduler.runNow('n'), 'INVALID_MESSAGE');
    expect(message).toContain(`${what} the header "x-millrace-schedule"`);
    expect(await broker.inspect(queue.name)).toMatchObject({ ready: 0 });
  },
);

test('runNow gives up after 30 seconds, as a send does', async () => {
  await using broker = await connect('local:');
  const full = defineQueue('full', z.string(), { capacity: 1 });
  await createProducer(broker, full).send('fills it');
  const scheduler = createScheduler(broker, [defineSchedule('n', { cron: '0 0 29 2 *', send: [full, 'x'] })]);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const running = scheduler.runNow('n');
  const run = watch(running);
  for (let seconds = 0; seconds < 60 && run.state === 'pending'; seconds++)
    await vi.advanceTimersByTimeAsync(1000);
  expect(run.state).toBe('rejected');
  await rejection(running, 'TIMEOUT');
});
