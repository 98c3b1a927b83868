import { describe, expect, test } from 'vitest';
import type { QueueInfo } from '../../src/broker.js';
import { History } from '../../src/page/figures/history.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Midnight, so that each step begins at a round time. */
const START = Date.UTC(2026, 10, 29);

function queue(name: string, figures: Partial<QueueInfo> = {}): QueueInfo {
  return {
    name,
    type: 'local',
    capacity: undefined,
    deadLetterQueue: `${name}.dead`,
    exclusive: false,
    autoDelete: false,
    paused: false,
    internal: false,
    ready: 1,
    consumers: 1,
    unsettled: 0,
    delayed: 0,
    dead: 0,
    oldestAgeMs: 0,
    bytes: 0,
    rates: { in: 1, out: 1 },
    unknown: {},
    ...figures,
  };
}

function field(history: History, name: string, span: '15m' | '3h' | '24h'): readonly (number | null)[] {
  const { names = [], fields = [] } = history.chart('orders', span) ?? {};
  return fields[names.indexOf(name)] ?? [];
}

test('a day of samples: each chart covers its time, in steps, and takes no more memory than after an hour', () => {
  const history = new History(START);
  const names = Array.from({ length: 50 }, (_, n) => `queue-${n}`);
  const feed = (from: number, to: number) => {
    for (let at = from; at < to; at += 30 * SECOND)
      history.add(at, [
        queue('orders', { ready: (at - START) / MINUTE }),
        ...names.map((name) => queue(name)),
      ]);
  };
  feed(START, START + HOUR);
  const points = () =>
    (['15m', '3h', '24h'] as const).map((span) => history.chart('orders', span)?.times.length);
  feed(START + HOUR, START + 25 * HOUR);
  expect(points()).toEqual([180, 180, 180]);
  for (const [span, lengthMs] of [
    ['15m', 15 * MINUTE],
    ['3h', 3 * HOUR],
    ['24h', 24 * HOUR],
  ] as const) {
    const times = history.chart('orders', span)?.times ?? [];
    const stepMs = lengthMs / 180;
    expect((times.at(-1) ?? 0) * 1000).toBe(Math.floor((START + 25 * HOUR - 30 * SECOND) / stepMs) * stepMs);
    expect(((times.at(-1) ?? 0) - (times[0] ?? 0)) * 1000).toBe(lengthMs - stepMs);
    // The last figure of each step; nothing in steps without one.
    const known = field(history, 'ready', span).flatMap((value, index) =>
      value === null ? [] : [value - ((times[index] ?? 0) - START / 1000) / 60],
    );
    expect(known.length).toBe(Math.min(180, lengthMs / (30 * SECOND)));
    expect(Math.min(...known)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...known)).toBeLessThan(stepMs / MINUTE);
  }
});

test('while the machine slept there is nothing, however long it was, and then it goes on', () => {
  const history = new History(START);
  for (const hours of [0, 5, 80]) history.add(START + hours * HOUR, [queue('orders')]);
  const values = field(history, 'ready', '24h');
  expect(values).toHaveLength(180);
  expect(values.filter((value) => value !== null)).toEqual([1]);
  history.add(START + 85 * HOUR, [queue('orders', { ready: 2 })]);
  expect(field(history, 'ready', '24h').filter((value) => value !== null)).toEqual([1, 2]);
});

describe('a page that was closed for a time', () => {
  const closed = (hours: number) => {
    const history = new History(START);
    history.add(START, [queue('orders', { dead: 3 })]);
    const end = START + hours * HOUR;
    history.add(end, [queue('orders', { dead: 10, ready: 5 })]);
    return { history, end };
  };

  test('says in which time the dead letters came that it has not seen coming', () => {
    const { history, end } = closed(8);
    expect(history.newDead(end)).toEqual({ count: 7, ms: 8 * HOUR });
    // As new as what it sees itself.
    expect(history.deadRise('orders')).toBe(7);
    // Later the last hour is known again.
    for (let at = end + SECOND; at <= end + 62 * MINUTE; at += SECOND)
      history.add(at, [queue('orders', { dead: at < end + 30 * MINUTE ? 10 : 11 })]);
    expect(history.newDead(end + 62 * MINUTE)).toEqual({ count: 1, ms: HOUR });
    expect(history.deadRise('orders')).toBe(0);
  });

  test('and nothing longer than an hour if none came', () => {
    const history = new History(START);
    for (const hours of [0, 8]) history.add(START + hours * HOUR, [queue('orders', { dead: 3 })]);
    expect(history.newDead(START + 8 * HOUR)).toEqual({ count: 0, ms: HOUR });
  });

  test('draws nothing for that time, and no peak at its end', () => {
    const { history, end } = closed(2);
    const values = field(history, 'ready', '3h');
    expect(values.filter((value) => value !== null)).toEqual([1, 5]);
    expect(values.slice(-121, -1).every((value, index) => (value === null) === index > 0)).toBe(true);
    // Over the time in which they came.
    expect(field(history, 'died', '3h').at(-1)).toBeCloseTo(7 / (2 * 60 * 60), 6);
    // Nothing that was before fifteen minutes makes a queue grow.
    expect(history.spark('orders').filter((value) => !Number.isNaN(value))).toEqual([5]);
    expect(history.readyRise('orders')).toBe(0);
    expect(history.newDead(end).count).toBe(7);
  });
});

describe('a clock that is set back', () => {
  test('by an hour: the charts go on from there, without the hour that is yet to come', () => {
    const history = new History(START);
    for (let at = START; at <= START + 2 * HOUR; at += MINUTE) history.add(at, [queue('orders')]);
    history.add(START + HOUR, [queue('orders', { ready: 7 })]);
    const values = field(history, 'ready', '3h');
    expect(history.chart('orders', '3h')?.times.at(-1)).toBe((START + HOUR) / 1000);
    expect(values.filter((value) => value !== null)).toEqual([...Array.from({ length: 60 }, () => 1), 7]);
  });

  test('by a year, to which it was set by mistake: they begin again', () => {
    const history = new History(START);
    history.add(START + 365 * 24 * HOUR, [queue('orders')]);
    history.add(START, [queue('orders', { ready: 3 })]);
    history.add(START + MINUTE, [queue('orders', { ready: 4 })]);
    for (const span of ['15m', '3h', '24h'] as const)
      expect(field(history, 'ready', span).filter((value) => value !== null)).toEqual(
        span === '24h' ? [4] : [3, 4],
      );
  });

  test('dead letters that came before it still count for the last hour, and for no longer', () => {
    const history = new History(START);
    history.add(START, [queue('orders')]);
    history.add(START + 30 * MINUTE, [queue('orders', { dead: 5 })]);
    history.add(START + 10 * MINUTE, [queue('orders', { dead: 5 })]);
    expect(history.newDead(START + 10 * MINUTE).count).toBe(5);
    history.add(START + 72 * MINUTE, [queue('orders', { dead: 5 })]);
    expect(history.newDead(START + 72 * MINUTE).count).toBe(0);
  });
});

test('charts of no more than a thousand queues are kept, and a removed queue makes room', () => {
  const history = new History(START);
  const all = Array.from({ length: 1001 }, (_, n) => queue(`queue-${n}`));
  history.add(START, all);
  expect(history.chart('queue-999', '15m')).toBeDefined();
  expect(history.chart('queue-1000', '15m')).toBeUndefined();
  history.add(START + SECOND, all.slice(1));
  history.add(START + 2 * SECOND, all.slice(1));
  expect(history.chart('queue-1000', '15m')).toBeDefined();
});

test('what workers report of their handlers is kept beside the other figures', () => {
  const history = new History(START, true);
  const figures = { failed: 0.5, p50: 0.25, p95: 1, p99: undefined };
  history.add(START, [queue('orders')], new Map([['orders', figures]]));
  history.add(START + SECOND, [queue('orders', { dead: 5 })], new Map([['orders', figures]]));
  const last = (name: string) => field(history, name, '15m').at(-1);
  expect(['ready', 'out', 'failed', 'p50', 'p95', 'p99', 'died'].map(last)).toEqual([
    1,
    1,
    0.5,
    0.25,
    1,
    null,
    1,
  ]);
});
