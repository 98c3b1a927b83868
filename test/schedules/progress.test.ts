import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  mergeProgress,
  nextStep,
  type Progress,
  parseProgress,
  progressText,
} from '../../src/schedules/progress.js';
import { timingOption } from '../../src/schedules/timing.js';

const NOW = Date.parse('2026-06-01T12:30:00Z');
const HOUR_MS = 3_600_000;
const hourly = timingOption({ cron: '0 * * * *' });
const at = (text: string) => Date.parse(`2026-06-01T${text}Z`);

function progress(parts: Partial<Progress> = {}): Progress {
  return { timing: hourly.spec, chosenAt: 0, since: 0, tick: at('10:00'), resets: 0, ...parts };
}

test('a tick that is less than a minute late is sent, whatever becomes of missed ones', () => {
  for (const catchUp of ['skip', 'last', 'all'] as const) {
    const step = nextStep(progress({ tick: at('11:00') }), hourly, catchUp, at('12:00:59'));
    expect(step).toEqual({ type: 'send', tick: at('12:00') });
  }
});

test('missed ticks are skipped, sent, or skipped but for the last one', () => {
  expect(nextStep(progress(), hourly, 'all', NOW)).toEqual({ type: 'send', tick: at('11:00') });
  expect(nextStep(progress(), hourly, 'skip', NOW)).toEqual({
    type: 'skip',
    from: at('11:00'),
    to: at('12:00'),
  });
  expect(nextStep(progress(), hourly, 'last', NOW)).toEqual({
    type: 'skip',
    from: at('11:00'),
    to: at('11:00'),
  });
  expect(nextStep(progress({ tick: at('11:00') }), hourly, 'last', NOW)).toEqual({
    type: 'send',
    tick: at('12:00'),
  });
});

test('ticks from before the times were in force are nobody’s', () => {
  const changed = progress({ tick: at('03:00'), since: NOW - 60_000 });
  expect(nextStep(changed, hourly, 'all', NOW)).toEqual({ type: 'wait', until: at('13:00') });
});

test('a clock that was set back by less than three hours repeats nothing; by more, ticks go by the clock again', () => {
  const ahead = progress({ tick: NOW + 2.5 * HOUR_MS });
  expect(nextStep(ahead, hourly, 'all', NOW)).toEqual({ type: 'wait', until: at('16:00') });
  const far = progress({ tick: NOW + 4 * HOUR_MS });
  expect(nextStep(far, hourly, 'all', NOW)).toEqual({ type: 'reset', tick: NOW + 4 * HOUR_MS });
});

const timings = [hourly.spec, { everyMs: 1000 }, { cron: '0 3 * * *', tz: 'Europe/Berlin' }];
const arbitrary: fc.Arbitrary<Progress> = fc.record({
  timing: fc.constantFrom(...timings),
  chosenAt: fc.integer({ min: NOW - 10, max: NOW }),
  since: fc.integer({ min: NOW - 1000, max: NOW }),
  tick: fc.option(fc.integer({ min: NOW - 1000, max: NOW + 1000 })),
  resets: fc.integer({ min: 0, max: 2 }),
});

test('a merge does not depend on its order, loses no tick, and a second one changes nothing', () => {
  fc.assert(
    fc.property(arbitrary, arbitrary, (one, other) => {
      const merged = mergeProgress(one, other, NOW);
      expect(progressText(mergeProgress(other, one, NOW))).toBe(progressText(merged));
      expect(progressText(mergeProgress(merged, one, NOW))).toBe(progressText(merged));
      expect(progressText(mergeProgress(merged, other, NOW))).toBe(progressText(merged));
      if (one.resets === other.resets)
        expect(merged.tick ?? 0).toBe(Math.max(one.tick ?? 0, other.tick ?? 0));
    }),
  );
});

test('times that came from a clock far ahead give way to any others', () => {
  const wrong = progress({ timing: { everyMs: 1000 }, chosenAt: NOW + 365 * 24 * HOUR_MS });
  const right = progress({ chosenAt: NOW });
  expect(mergeProgress(wrong, right, NOW).timing).toEqual(hourly.spec);
  expect(mergeProgress(right, wrong, NOW).timing).toEqual(hourly.spec);
});

test('what is stored is read back, and anything else is no progress', () => {
  const stored = progress();
  expect(progressText(parseProgress(progressText(stored)) as Progress)).toBe(progressText(stored));
  for (const text of [
    '',
    'null',
    '{}',
    '[]',
    '{"timing":{}}',
    '{"timing":{"everyMs":1},"chosenAt":"x"}',
    '\u0000',
  ])
    expect(parseProgress(text)).toBeUndefined();
});
