import { setTimeout as delay } from 'node:timers/promises';
import { expect, vi } from 'vitest';
import { z } from 'zod';
import type { Backend, Delivery } from '../../../src/broker.js';
import type { ScheduleEvent } from '../../../src/schedules/event-report.js';
import { defineSchedule, type ScheduleOptions } from '../../../src/schedules/schedule.js';
import { createScheduler, forgetSchedule } from '../../../src/schedules/scheduler.js';
import { defineSubscription } from '../../../src/topics/subscription.js';
import { defineTopic } from '../../../src/topics/topic.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import type { ContractContext } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const HOUR_MS = 3_600_000;

/** What a scheduler tells. */
class Log {
  readonly events: ScheduleEvent[] = [];
  readonly observe = (event: ScheduleEvent): void => {
    this.events.push(event);
  };

  of<T extends ScheduleEvent['type']>(type: T): Extract<ScheduleEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<ScheduleEvent, { type: T }> => event.type === type);
  }

  until(type: ScheduleEvent['type'], count = 1): Promise<unknown> {
    return eventually(() => this.of(type).length >= count);
  }
}

function ticksOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(({ message: { headers } }) => String(headers['x-millrace-tick']));
}

/** Leaves the progress of a schedule behind as a scheduler does that ran until then. */
async function leaveProgress(t: ContractContext, name: string, progress: object): Promise<void> {
  const text = JSON.stringify({ chosenAt: 0, since: 0, tick: null, resets: 0, ...progress });
  let hasTurn = false;
  const state = await t.broker.openState(`schedule.${name}`, {
    initial: text,
    merge: (value) => value,
    onTurn: () => {
      hasTurn = true;
    },
    onLost: () => {},
  });
  await eventually(() => hasTurn);
  await state.close();
}

/** A time in each hour that is half an hour away. */
function cronFarFromNow(): string {
  return `${(new Date().getUTCMinutes() + 30) % 60} * * * *`;
}

/** Sets the clock of this process as far ahead as `value` says, until the end of the case. */
function settableClock(): { ahead: number; restore(): void } {
  const now = Date.now.bind(Date);
  const clock = { ahead: 0, restore: () => spy.mockRestore() };
  const spy = vi.spyOn(Date, 'now').mockImplementation(() => now() + clock.ahead);
  return clock;
}

export const scheduleCases: Cases = {
  'each tick is sent once, under the id of its schedule and its time, by any of several schedulers': async (
    t,
  ) => {
    const queue = t.define(z.object({ for: z.string() }));
    const name = t.queueName();
    const schedule = () =>
      defineSchedule(name, { everyMs: 200, send: [queue, ({ at }) => ({ for: at.toISOString() })] });
    const schedulers = (await t.connections(3)).map((broker) => createScheduler(broker, [schedule()]));
    await Promise.all(schedulers.map((scheduler) => scheduler.start()));
    const inbox = await t.inbox(queue.name);
    const deliveries = await inbox.take(10);
    await Promise.all(schedulers.map((scheduler) => scheduler.stop()));
    const ticks = ticksOf(deliveries);
    const first = Date.parse(ticks[0] as string);
    expect(first % 200).toBe(0);
    expect(ticks).toEqual(ticks.map((_, index) => new Date(first + index * 200).toISOString()));
    for (const [index, { message }] of deliveries.entries()) {
      expect(message.id).toBe(`schedule:${name}:${ticks[index]}`);
      expect(message.headers['x-millrace-schedule']).toBe(name);
      expect(JSON.parse(String(message.body))).toEqual({ for: ticks[index] });
    }
  },

  'its messages have the properties of their definition, and headers of functions around them': async (t) => {
    const queue = t.define(z.string());
    const name = t.queueName();
    const properties = {
      headers: { tenant: 'mill', __n: 7 },
      priority: 9,
      type: 'report',
      expiresInMs: 600_000,
    };
    const schedule = defineSchedule(name, { everyMs: 200, send: [queue, 'x', properties] });
    let refusals = 1;
    const log = new Log();
    const scheduler = createScheduler(t.broker, [schedule], {
      around: [
        async (next, { queue: to, id, headers }) => {
          if (refusals-- > 0) throw new Error('not yet');
          headers.signed = `${to} ${id}`;
          return next();
        },
      ],
      observe: log.observe,
    });
    await scheduler.start();
    const inbox = await t.inbox(queue.name);
    const [first] = await inbox.take(1);
    const { id } = await scheduler.runNow(name);
    await scheduler.stop();
    expect(log.of('failed')).toMatchObject([{ error: { message: 'not yet' } }]);
    const message = first?.message;
    expect(message).toMatchObject({ priority: 9, type: 'report', expiresAt: expect.any(Number) });
    expect(message?.headers).toMatchObject({
      tenant: 'mill',
      __n: 7,
      signed: `${queue.name} ${message?.id}`,
    });
    expect(message?.headers['x-millrace-schedule']).toBe(name);
    await eventually(() => inbox.deliveries.some((one) => one.message.id === id));
    const now = inbox.deliveries.find((one) => one.message.id === id);
    expect(now?.message.headers).toMatchObject({ tenant: 'mill', signed: `${queue.name} ${id}` });
  },

  'a schedule that was forgotten starts over': async (t) => {
    const queue = t.define(z.string());
    const name = t.queueName();
    const timing = { cron: cronFarFromNow(), tz: 'UTC' };
    await leaveProgress(t, name, { timing, since: Date.now() - 3 * HOUR_MS });
    expect(await forgetSchedule(t.broker, name)).toBe(true);
    expect(await forgetSchedule(t.broker, name)).toBe(false);
    const log = new Log();
    const schedule = defineSchedule(name, { ...timing, send: [queue, 'x'] });
    const scheduler = createScheduler(t.broker, [schedule], { observe: log.observe });
    await scheduler.start();
    await log.until('held');
    expect((await scheduler.list())[0]?.last).toBeUndefined();
    const { isHeld } = await t.broker.viewState(`schedule.${name}`);
    if (isHeld === true) await rejection(forgetSchedule(t.broker, name), 'INVALID_OPTION');
    await scheduler.stop();
    expect(log.of('sent')).toEqual([]);
    expect(log.of('skipped')).toEqual([]);
    expect(await t.ready(queue.name)).toBe(0);
  },

  'a schedule may publish an event, which all subscriptions of its topic get once for each tick': async (
    t,
  ) => {
    const { queueType: type, delayedRetry } = t.subject;
    const days = defineTopic(t.queueName(), {
      'day.ended': z.object({ day: z.string() }),
      other: z.number(),
    });
    const subscriptions = ['billing', 'mail'].map((name) =>
      defineSubscription(days, name, { to: ['day.*'], type, delayedRetry }),
    );
    const name = t.queueName();
    const schedule = defineSchedule(name, {
      everyMs: 200,
      publish: [days, 'day.ended', ({ at }) => ({ day: at.toISOString() }), { headers: { tenant: 'mill' } }],
    });
    const log = new Log();
    await using scheduler = createScheduler(t.broker, [schedule], { observe: log.observe });
    // Nobody takes these.
    await scheduler.start();
    await log.until('sent', 2);
    for (const { spec } of subscriptions) await t.broker.declare(spec);
    const inboxes = await Promise.all(subscriptions.map((one) => t.inbox(one.name)));
    const { id: idOfNow } = await scheduler.runNow(name);
    for (const inbox of inboxes) await inbox.take(4);
    await scheduler.stop();
    const sent = log.of('sent').map(({ id }) => id);
    for (const { deliveries } of inboxes) {
      const ids = deliveries.map(({ message: { id } }) => id).filter((id) => id !== idOfNow);
      expect(ids.length).toBeGreaterThanOrEqual(3);
      expect(ids).toEqual(sent.slice(sent.indexOf(ids[0] as string)).slice(0, ids.length));
      const { message } = deliveries.find((one) => one.message.id === ids[0]) as Delivery;
      expect(message).toMatchObject({
        type: 'day.ended',
        origin: { exchange: days.name, routingKey: 'day.ended' },
        headers: { tenant: 'mill', 'x-millrace-schedule': name },
      });
      expect(JSON.parse(String(message.body))).toEqual({ day: message.headers['x-millrace-tick'] });
    }
    const [info] = await scheduler.list();
    expect(info).toMatchObject({ queue: undefined, event: { topic: days.name, name: 'day.ended' } });
    expect(log.of('failed')).toEqual([]);
  },

  'another scheduler goes on when one stops': async (t) => {
    const queue = t.define(z.string());
    const schedule = defineSchedule(t.queueName(), { everyMs: 200, catchUp: 'all', send: [queue, 'x'] });
    const [one, other] = (await t.connections(2)).map((broker) => createScheduler(broker, [schedule]));
    await one?.start();
    const inbox = await t.inbox(queue.name);
    await inbox.take(2);
    await other?.start();
    await one?.stop();
    await inbox.take(6);
    await other?.stop();
    const times = ticksOf(inbox.deliveries).map((tick) => Date.parse(tick));
    expect(times).toEqual(times.map((_, index) => (times[0] as number) + index * 200));
  },

  'missed ticks are skipped, or all of them sent, or the last one, as the schedule says': async (t) => {
    const cron = cronFarFromNow();
    const timing = { cron, tz: 'UTC' };
    const run = async (catchUp: 'skip' | 'last' | 'all') => {
      const queue = t.define(z.string());
      const name = t.queueName();
      await leaveProgress(t, name, { timing, since: Date.now() - 5 * HOUR_MS });
      const log = new Log();
      const schedule = defineSchedule(name, { cron, catchUp, send: [queue, 'x'] });
      await using scheduler = createScheduler(t.broker, [schedule], { observe: log.observe });
      await scheduler.start();
      if (catchUp !== 'all') await log.until('skipped');
      if (catchUp !== 'skip') await log.until('sent', catchUp === 'all' ? 5 : 1);
      const skipped = log.of('skipped').map(({ from, to }) => (to.getTime() - from.getTime()) / HOUR_MS + 1);
      return { sent: log.of('sent').length, skipped: skipped[0] ?? 0, failed: log.of('failed') };
    };
    expect(await run('skip')).toEqual({ sent: 0, skipped: 5, failed: [] });
    expect(await run('last')).toEqual({ sent: 1, skipped: 4, failed: [] });
    expect(await run('all')).toEqual({ sent: 5, skipped: 0, failed: [] });
  },

  'other times of a schedule take effect and are told, also to schedulers that run already': async (t) => {
    const queue = t.define(z.string());
    const name = t.queueName();
    const [one, other] = await t.connections(2);
    const define = (times: Pick<ScheduleOptions<string>, 'cron' | 'tz' | 'everyMs'>) =>
      defineSchedule(name, { ...times, send: [queue, 'x'] });
    const [logOfOld, logOfNew, logOfLast] = [new Log(), new Log(), new Log()];
    const old = createScheduler(one as Backend, [define({ cron: '0 0 29 2 *' })], {
      observe: logOfOld.observe,
    });
    await old.start();
    await logOfOld.until('held');
    // Definitions of one millisecond are told apart by their texts.
    await delay(5);
    const replacement = createScheduler(other as Backend, [define({ everyMs: 200 })], {
      observe: logOfNew.observe,
    });
    await replacement.start();
    const inbox = await t.inbox(queue.name);
    await inbox.take(2);
    const redefined = { type: 'redefined', schedule: name, from: '0 0 29 2 * (UTC)', to: 'every 200 ms' };
    await eventually(() => [...logOfOld.of('redefined'), ...logOfNew.of('redefined')].length > 0);
    const told = [...logOfOld.of('redefined'), ...logOfNew.of('redefined')];
    expect(told[0]).toEqual(redefined);
    await Promise.all([old.stop(), replacement.stop()]);

    const zone = { cron: '0 0 29 2 *', tz: 'Asia/Tokyo' };
    await using last = createScheduler(one as Backend, [define(zone)], { observe: logOfLast.observe });
    await last.start();
    await logOfLast.until('redefined');
    expect(logOfLast.of('redefined')).toEqual([
      { type: 'redefined', schedule: name, from: 'every 200 ms', to: '0 0 29 2 * (Asia/Tokyo)' },
    ]);
    expect(logOfLast.of('sent')).toEqual([]);
  },

  'a clock that is set forward makes ticks due, and one that is set back repeats none': async (t) => {
    const queue = t.define(z.string());
    const name = t.queueName();
    const log = new Log();
    const clock = settableClock();
    try {
      const schedule = defineSchedule(name, { cron: cronFarFromNow(), catchUp: 'all', send: [queue, 'x'] });
      await using scheduler = createScheduler(t.broker, [schedule], { observe: log.observe });
      await scheduler.start();
      await log.until('held');
      clock.ahead = 2 * HOUR_MS;
      await log.until('sent', 2);
      clock.ahead = HOUR_MS;
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect(log.of('sent').length).toBe(2);
      clock.ahead = 3 * HOUR_MS;
      await log.until('sent', 3);
      clock.ahead = -2 * HOUR_MS;
      await log.until('clock-set-back');
      clock.ahead = -HOUR_MS;
      await log.until('sent', 4);
      const ticks = log.of('sent').map(({ tick }) => tick.getTime());
      const first = ticks[0] as number;
      expect(ticks.map((tick) => (tick - first) / HOUR_MS)).toEqual([0, 1, 2, -2]);
    } finally {
      clock.restore();
    }
  },

  'a tick that finds no room, or whose value can not be made, is sent as soon as it can be': async (t) => {
    const queue = t.define(z.string(), { capacity: 2 });
    await t.broker.declare(queue.spec);
    await t.fill(queue.spec);
    let failures = 0;
    const value = () => {
      if (failures++ < 2) throw new Error('the report is not ready');
      return 'x';
    };
    const log = new Log();
    const schedule = defineSchedule(t.queueName(), { everyMs: 500, send: [queue, value] });
    await using scheduler = createScheduler(t.broker, [schedule], { observe: log.observe });
    await scheduler.start();
    await eventually(() => log.of('failed').some(({ error }) => 'code' in error && error.code === 'FULL'));
    expect(log.of('failed')[0]?.error.message).toBe('the report is not ready');
    await t.broker.purge(queue.name);
    await log.until('sent', 2);
    const [first, second] = log.of('sent').map(({ tick }) => tick.getTime());
    expect((second as number) - (first as number)).toBe(500);
  },

  'the queue of a schedule is declared again if somebody has removed it': async (t) => {
    const queue = t.define(z.string());
    const log = new Log();
    const schedule = defineSchedule(t.queueName(), { everyMs: 200, send: [queue, 'x'] });
    await using scheduler = createScheduler(t.broker, [schedule], { observe: log.observe });
    await scheduler.start();
    await log.until('sent');
    await t.broker.remove(queue.name);
    const inbox = await eventually(() => t.inbox(queue.name));
    await inbox.take(1);
  },

  'ticks of a topic that keeps its events are never lost while its exchange or its queue is missing': async (
    t,
  ) => {
    const topic = defineTopic(t.queueName(), { tick: z.string() }, { unrouted: 'keep' });
    const kept = `${topic.name}.unrouted`;
    const log = new Log();
    const schedule = defineSchedule(t.queueName(), {
      everyMs: 200,
      catchUp: 'all',
      publish: [topic, 'tick', 'x'],
    });
    const [, other = t.broker] = await t.connections(2);
    await using scheduler = createScheduler(t.broker, [schedule], { observe: log.observe });
    await scheduler.start();
    await log.until('sent');
    const removals = [
      () => other.removeExchange(topic.name),
      () => other.remove(kept),
      () => other.removeExchange(kept),
      () => Promise.all([other.removeExchange(topic.name), other.removeExchange(kept), other.remove(kept)]),
    ];
    for (const remove of removals) {
      await remove();
      await log.until('sent', log.of('sent').length + 2);
    }
    // This one takes all that it held along.
    await other.remove(kept);
    const before = log.of('sent').length;
    await log.until('sent', before + 4);
    await scheduler.stop();
    // The first may have been stored before the queue was removed, and told after.
    const sent = log.of('sent').map(({ id }) => id);
    const inbox = await t.inbox(kept, { prefetch: 100 });
    const expected = sent.slice(before + 1);
    const idsOf = () => inbox.deliveries.map(({ message: { id } }) => id);
    // Over a slow link they come one by one.
    await eventually(() => idsOf().at(-1) === expected.at(-1));
    const ids = idsOf();
    expect(ids).toEqual(sent.slice(-ids.length));
  },

  'runNow declares again what somebody has removed': async (t) => {
    const topic = defineTopic(t.queueName(), { tick: z.string() }, { unrouted: 'keep' });
    const queue = t.define(z.string());
    const never = { cron: '0 0 29 2 *' };
    const [publishing, sending] = [
      defineSchedule(t.queueName(), { ...never, publish: [topic, 'tick', 'x'] }),
      defineSchedule(t.queueName(), { ...never, send: [queue, 'x'] }),
    ];
    const [, other = t.broker] = await t.connections(2);
    const scheduler = createScheduler(t.broker, [publishing, sending]);
    await scheduler.runNow(publishing.name);
    await other.removeExchange(topic.name);
    await scheduler.runNow(publishing.name);
    await t.untilCounted(`${topic.name}.unrouted`, { ready: 2 });
    await other.remove(`${topic.name}.unrouted`);
    await scheduler.runNow(publishing.name);
    await t.untilCounted(`${topic.name}.unrouted`, { ready: 1 });
    await scheduler.runNow(sending.name);
    await other.remove(queue.name);
    await scheduler.runNow(sending.name);
    await t.untilCounted(queue.name, { ready: 1 });
  },

  'a tick whose function throws after it was sent is not sent again': async (t) => {
    const queue = t.define(z.string());
    const name = t.queueName();
    const log = new Log();
    let calls = 0;
    const scheduler = createScheduler(
      t.broker,
      [defineSchedule(name, { everyMs: 200, send: [queue, 'x'] })],
      {
        around: [
          async (next) => {
            const sending = next();
            // It may wait for the outcome, or not.
            if (++calls % 2 === 0) await sending;
            throw new Error('afterwards');
          },
        ],
        observe: log.observe,
      },
    );
    await scheduler.start();
    await log.until('sent', 4);
    await scheduler.stop();
    const { id } = await scheduler.runNow(name);
    const sent = [...log.of('sent').map((event) => event.id), id];
    const inbox = await t.inbox(queue.name);
    expect(await inbox.ackNext(sent.length)).toEqual(sent);
    expect(await t.ready(queue.name)).toBe(0);
    expect(log.of('failed')).toEqual([]);
  },

  'runNow sends besides the ticks, and list says what is known': async (t) => {
    const queue = t.define(z.string());
    const name = t.queueName();
    const schedule = defineSchedule(name, { cron: '0 0 29 2 *', tz: 'Europe/Berlin', send: [queue, 'x'] });
    await using scheduler = createScheduler(t.broker, [schedule]);
    const { id } = await scheduler.runNow(name);
    expect(id).toMatch(new RegExp(`^schedule:${name}:now:`));
    const inbox = await t.inbox(queue.name);
    const { message } = await inbox.next();
    expect(message).toMatchObject({ id, headers: { 'x-millrace-schedule': name } });
    expect(message.headers).not.toHaveProperty('x-millrace-tick');
    await rejection(scheduler.runNow('another'), 'INVALID_OPTION');
    await scheduler.start();
    const [info] = await scheduler.list();
    expect(info).toMatchObject({ name, queue: queue.name, timing: '0 0 29 2 * (Europe/Berlin)' });
    expect(info?.next?.toISOString()).toMatch(/-02-28T23:00:00\.000Z$/);
  },

  'a scheduler is started once, sends nothing after it was stopped, and stops any number of times': async (
    t,
  ) => {
    const queue = t.define(z.string());
    const schedule = defineSchedule(t.queueName(), { everyMs: 100, send: [queue, 'x'] });
    const log = new Log();
    const scheduler = createScheduler(t.broker, [schedule], { observe: log.observe });
    await scheduler.start();
    await rejection(scheduler.start(), 'CLOSED');
    await log.until('sent');
    await Promise.all([scheduler.stop(), scheduler.stop()]);
    const sent = log.of('sent').length;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(log.of('sent').length).toBe(sent);
    await rejection(scheduler.start(), 'CLOSED');
  },
};
