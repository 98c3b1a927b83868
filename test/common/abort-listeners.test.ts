import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { anyOf } from '../../src/common/abort-listeners.js';
import { collectGarbage } from '../support/garbage.js';

test('a time limit among several signals comes, though nobody else holds it', async () => {
  const { signal } = anyOf([new AbortController().signal, AbortSignal.timeout(100)]);
  const aborted = once(signal, 'abort');
  for (let times = 0; times < 3; times++) {
    await turn();
    collectGarbage();
  }
  await aborted;
  expect((signal.reason as Error).name).toBe('TimeoutError');
});

test('the first of several signals says why, and those that were let go of say nothing', () => {
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
