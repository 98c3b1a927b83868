import { getEventListeners, once } from 'node:events';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  anyOf,
  backoffMs,
  Deadlines,
  Deferred,
  limitWait,
  onAbort,
  pause,
  settledWithin,
  throwIfAborted,
  timeoutError,
  withGrace,
  within,
} from '../../../src/common/waiting/waiting.js';
import type { QueueError } from '../../../src/errors.js';
import { collectGarbage } from '../../support/garbage.js';
import { rejection } from '../../support/rejection.js';

const listenersOf = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;
const never = new Promise<never>(() => {});

describe('a signal', () => {
  test('gets one listener for all its callbacks, and none when they are gone', () => {
    const { signal } = new AbortController();
    const removers = Array.from({ length: 1000 }, () => onAbort(signal, () => {}));
    expect(listenersOf(signal)).toBe(1);
    for (const remove of removers) remove();
    expect(listenersOf(signal)).toBe(0);
  });

  test('calls all that were not removed, once each', () => {
    const source = new AbortController();
    const calls: string[] = [];
    onAbort(source.signal, () => calls.push('a'));
    const remove = onAbort(source.signal, () => calls.push('b'));
    onAbort(source.signal, () => calls.push('c'));
    remove();
    remove();
    source.abort();
    source.abort();
    expect(calls).toEqual(['a', 'c']);
  });

  test('that bounds a wait is listened to no longer when the work is done, the time is over or it has failed', async () => {
    const { signal } = new AbortController();
    await within(Promise.resolve(1), 'x', { signal, timeoutMs: 1000 });
    await rejection(within(never, 'x', { signal, timeoutMs: 1 }));
    await expect(within(Promise.reject(new Error('no')), 'x', { signal })).rejects.toThrow('no');
    expect(listenersOf(signal)).toBe(0);
  });

  test('among several comes, though nobody else holds it', async () => {
    const { signal } = anyOf([new AbortController().signal, AbortSignal.timeout(100)]);
    const aborted = once(signal, 'abort');
    for (let times = 0; times < 3; times++) {
      await turn();
      collectGarbage();
    }
    await aborted;
    expect((signal.reason as Error).name).toBe('TimeoutError');
  });

  test('that is the first of several says why, and those that were released say nothing', () => {
    const first = new AbortController();
    const second = new AbortController();
    const both = anyOf([first.signal, second.signal]);
    second.abort('two');
    first.abort('one');
    expect(both.signal.reason).toBe('two');
    expect(anyOf([new AbortController().signal, first.signal]).signal.reason).toBe('one');

    const later = new AbortController();
    const released = anyOf([later.signal]);
    released.release();
    later.abort();
    expect(released.signal.aborted).toBe(false);
  });

  test('with a grace follows later, with the same reason, unless it is released', async () => {
    const source = new AbortController();
    const follower = withGrace(source.signal, 1);
    const released = withGrace(source.signal, 1);
    const aborted = once(follower.signal, 'abort');
    source.abort('enough');
    expect(follower.signal.aborted).toBe(false);
    released.release();
    await aborted;
    expect(follower.signal.reason).toBe('enough');
    await delay(5);
    expect(released.signal.aborted).toBe(false);
    expect(listenersOf(source.signal)).toBe(0);

    const late = withGrace(AbortSignal.abort('before'), 1);
    await once(late.signal, 'abort');
    expect(late.signal.reason).toBe('before');
  });
});

describe('the errors of a wait', () => {
  test('name the wait, and quote whole milliseconds', async () => {
    expect(timeoutError('message 1', 7999.976875, 'not stored')).toMatchObject({
      code: 'TIMEOUT',
      message: 'message 1: not stored within 8000 ms',
    });
    const error = (await rejection(within(never, 'declaring', { timeoutMs: 0.5 }))) as QueueError;
    expect(error).toMatchObject({ code: 'TIMEOUT', message: 'declaring: not done within 1 ms' });
  });

  test('carry the reason of the signal', async () => {
    const source = new AbortController();
    const waiting = rejection(within(never, 'declaring', { signal: source.signal }));
    source.abort('enough');
    const expected = { code: 'ABORTED', message: 'declaring: aborted', cause: 'enough' };
    expect(await waiting).toMatchObject(expected);
    expect(await rejection(within(never, 'declaring', { signal: source.signal }))).toMatchObject(expected);
    expect(() => throwIfAborted(source.signal, 'declaring')).toThrow('declaring: aborted');
    throwIfAborted(undefined, 'declaring');
  });

  test('come once: after the time is over, the signal ends nothing', async () => {
    const source = new AbortController();
    const errors: string[] = [];
    limitWait({ signal: source.signal, timeoutMs: 1 }, 'x', (error) => errors.push(error.code));
    const released = limitWait({ signal: source.signal, timeoutMs: 1 }, 'y', () => errors.push('released'));
    released();
    await delay(10);
    source.abort();
    expect(errors).toEqual(['TIMEOUT']);
  });
});

describe('work under a limit', () => {
  test('that fails after the limit causes no unhandled rejection', async () => {
    const work = new Deferred<void>();
    await rejection(within(work.promise, 'x', { timeoutMs: 1 }));
    await rejection(within(work.promise, 'x', { signal: AbortSignal.abort() }));
    work.reject(new Error('late'));
    await turn();
  });

  test('of a close settles either way, or is given up', async () => {
    await settledWithin(Promise.reject(new Error('no')), 60_000);
    await settledWithin(Promise.resolve(), 60_000);
    await settledWithin(never, 1);
  });
});

test('a pause ends early, without an error, when the signal is aborted', async () => {
  const source = new AbortController();
  const pausing = pause(60_000, source.signal);
  source.abort();
  await pausing;
  await pause(60_000, source.signal);
});

test('one timer serves many deadlines, the earliest first', async () => {
  const start = performance.now();
  const due = new Set([start + 30, start + 1, start + 15]);
  const seen: number[] = [];
  const done = new Deferred();
  const deadlines = new Deadlines((now) => {
    for (const each of due) {
      if (each > now) continue;
      due.delete(each);
      seen.push(Math.round(each - start));
    }
    if (due.size === 0) done.resolve();
    return Math.min(...due);
  });
  for (const each of due) deadlines.add(each);
  // The timer does not keep the process alive.
  const alive = setInterval(() => {}, 1000);
  await done.promise;
  clearInterval(alive);
  expect(seen.sort((a, b) => a - b)).toEqual([1, 15, 30]);
});

test('a deadline that is added while others end is kept', async () => {
  const done = new Deferred();
  let calls = 0;
  const deadlines: Deadlines = new Deadlines(() => {
    if (++calls === 2) done.resolve();
    else deadlines.add(performance.now() + 1);
    return Number.POSITIVE_INFINITY;
  });
  deadlines.add(performance.now());
  const alive = setInterval(() => {}, 1000);
  await done.promise;
  clearInterval(alive);
  expect(calls).toBe(2);
});

test('a timer for deadlines keeps no process alive', () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const deadlines = new Deadlines(() => Number.POSITIVE_INFINITY);
  deadlines.add(performance.now() + 60_000);
  expect(timers()).toBe(before);
  deadlines.stop();
});

test('the back-off doubles its bound up to the maximum', () => {
  const bounds = { initialDelayMs: 100, maxDelayMs: 1000 };
  for (const [attempt, bound] of [
    [1, 100],
    [2, 200],
    [4, 800],
    [5, 1000],
    [5000, 1000],
  ] as const) {
    for (let times = 0; times < 50; times++) {
      const delayMs = backoffMs(attempt, bounds);
      expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(delayMs).toBeLessThanOrEqual(bound);
    }
  }
  const drawn = new Set(Array.from({ length: 50 }, () => backoffMs(5, bounds)));
  // Clients that lost their broker together must not come back together.
  expect(drawn.size).toBeGreaterThan(10);
});
