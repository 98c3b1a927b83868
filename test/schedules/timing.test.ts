import { expect, test } from 'vitest';
import { storedTiming, timingOption } from '../../src/schedules/timing.js';
import { rejection } from '../support/rejection.js';

function ticks(cron: string, tz: string, from: string, count: number): string[] {
  const timing = timingOption({ cron, tz });
  const found: string[] = [];
  let after = Date.parse(from);
  while (found.length < count) {
    after = timing.next(after) as number;
    found.push(new Date(after).toISOString().replace('.000Z', 'Z'));
  }
  return found;
}

const nightly: readonly [where: string, cron: string, tz: string, from: string, expected: string[]][] = [
  [
    'in Berlin a time in the hour that is left out is the first one after it',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-03-28T00:00Z',
    ['2026-03-28T01:30:00Z', '2026-03-29T01:00:00Z', '2026-03-30T00:30:00Z'],
  ],
  [
    'in Berlin a time in the hour that comes twice is ticked the first time',
    '30 2 * * *',
    'Europe/Berlin',
    '2026-10-24T00:00Z',
    ['2026-10-24T00:30:00Z', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'],
  ],
  [
    'in New York likewise in spring',
    '15 2 * * *',
    'America/New_York',
    '2026-03-07T00:00Z',
    ['2026-03-07T07:15:00Z', '2026-03-08T07:00:00Z', '2026-03-09T06:15:00Z'],
  ],
  [
    'in New York likewise in autumn',
    '30 1 * * *',
    'America/New_York',
    '2026-10-31T00:00Z',
    ['2026-10-31T05:30:00Z', '2026-11-01T05:30:00Z', '2026-11-02T06:30:00Z'],
  ],
  [
    'on Lord Howe, where the clock moves by half an hour, in spring',
    '15 2 * * *',
    'Australia/Lord_Howe',
    '2026-10-03T00:00Z',
    ['2026-10-03T15:30:00Z', '2026-10-04T15:15:00Z'],
  ],
  [
    'in Santiago, where the midnight is left out',
    '0 0 * * *',
    'America/Santiago',
    '2026-09-04T12:00Z',
    ['2026-09-05T04:00:00Z', '2026-09-06T04:00:00Z', '2026-09-07T03:00:00Z'],
  ],
  [
    'on Samoa, which left out a whole day',
    '0 12 * * *',
    'Pacific/Apia',
    '2011-12-29T00:00Z',
    ['2011-12-29T22:00:00Z', '2011-12-30T22:00:00Z'],
  ],
];

test.each(nightly)('%s', (_where, cron, tz, from, expected) => {
  expect(ticks(cron, tz, from, expected.length)).toEqual(expected);
});

test('an expression for many times a day ticks through an hour that comes twice, and not in one that is left out', () => {
  expect(ticks('*/30 * * * *', 'Europe/Berlin', '2026-10-25T00:00Z', 5)).toEqual([
    '2026-10-25T00:30:00Z',
    '2026-10-25T01:00:00Z',
    '2026-10-25T01:30:00Z',
    '2026-10-25T02:00:00Z',
    '2026-10-25T02:30:00Z',
  ]);
  expect(ticks('30 1-3 * * *', 'Europe/Berlin', '2026-03-29T00:00Z', 2)).toEqual([
    '2026-03-29T00:30:00Z',
    '2026-03-29T01:30:00Z',
  ]);
});

const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'America/Santiago'];
const expressions = ['0 3 * * *', '30 2 * * 1', '*/20 * * * *', '0 0 1 * *', '15 1,2 * * *'];
const pairs = zones.flatMap((tz) => expressions.map((cron) => [cron, tz] as const));

test.each(pairs)(
  '%s in %s: ticks come in order, and the last one up to a time is the one before the next',
  (cron, tz) => {
    const timing = timingOption({ cron, tz });
    // Before the days on which clocks are changed, here or there.
    for (const day of ['2026-03-07', '2026-03-28', '2026-04-04', '2026-09-05', '2026-10-24', '2026-10-31']) {
      let before = timing.next(Date.parse(`${day}T12:00Z`)) as number;
      for (let count = 0; count < 6; count++) {
        const tick = timing.next(before) as number;
        expect(tick).toBeGreaterThan(before);
        expect(timing.last(tick)).toBe(tick);
        expect(timing.last(tick - 1)).toBe(before);
        before = tick;
      }
    }
  },
);

test('the last tick of an expression that ticks each second of a month is found at once, from long after it', () => {
  const timing = timingOption({ cron: '* * * * 1 *', tz: 'UTC' });
  // One by one they would take longer than the time limit of a test.
  expect(timing.last(Date.parse('2026-12-30T12:00Z'))).toBe(Date.parse('2026-01-31T23:59:59Z'));
  expect(timing.last(Date.parse('2026-01-10T12:00:00.500Z'))).toBe(Date.parse('2026-01-10T12:00Z'));
});

test('stored times that this program can not read give way to its own', () => {
  const own = timingOption({ everyMs: 1000 });
  expect(storedTiming({ everyMs: 500 }, own).spec).toEqual({ everyMs: 500 });
  expect(storedTiming({ cron: '0 3 * * *', tz: 'Asia/Tokyo' }, own).spec).toMatchObject({ tz: 'Asia/Tokyo' });
  for (const unknown of [
    { everyMs: 0 },
    { cron: '0 3 * * *', tz: 'Mars/Base' },
    { cron: 'every night', tz: 'UTC' },
  ]) {
    expect(storedTiming(unknown, own)).toBe(own);
  }
});

test('intervals count from 1970', () => {
  const timing = timingOption({ everyMs: 15_000 });
  expect(timing.next(29_999)).toBe(30_000);
  expect(timing.next(30_000)).toBe(45_000);
  expect(timing.last(44_999)).toBe(30_000);
});

const wrong: readonly [title: string, options: object, text: RegExp][] = [
  ['no times', {}, /cron: expected a cron expression such as '0 3 \* \* \*', or everyMs, got undefined/],
  ['both', { cron: '* * * * *', everyMs: 1000 }, /everyMs and cron exclude each other; use one of them/],
  ['a zone for an interval', { everyMs: 1000, tz: 'UTC' }, /tz applies only to cron/],
  ['too short an interval', { everyMs: 10 }, /everyMs: expected milliseconds from 100/],
  ['too few fields', { cron: '* * *' }, /cron: "\* \* \*": .*five, six/],
  [
    'a minute that there is not',
    { cron: '61 * * * *' },
    /cron: "61 \* \* \* \*": Invalid value for minute: 61/,
  ],
  ['words', { cron: 'every night' }, /cron: "every night": /],
  ['a date', { cron: '2030-12-01T00:00:00' }, /cron: expected five or six fields .*, not a date/],
  [
    'a day that never comes',
    { cron: '0 0 30 2 *' },
    /cron: expected an expression that matches a time in the future/,
  ],
  [
    'an unknown zone',
    { cron: '* * * * *', tz: 'Mars/Base' },
    /tz: expected the name of a time zone, .*got "Mars\/Base"/,
  ],
  ['a zone that is no text', { cron: '* * * * *', tz: 2 }, /tz: expected the name of a time zone/],
];

test.each(wrong)('%s: refused with a sentence', async (_title, options, text) => {
  const error = await rejection((async () => timingOption(options))(), 'INVALID_OPTION');
  expect(error.message).toMatch(text);
});
