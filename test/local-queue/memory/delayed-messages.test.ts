import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DelayedMessages } from '../../../src/local-queue/memory/delayed-messages.js';
import { StoredMessage } from '../../../src/local-queue/memory/stored-message.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

function schedule(): { due: string[]; delayed: DelayedMessages; add: (id: string, delayMs: number) => void } {
  const due: string[] = [];
  const delayed = new DelayedMessages((stored) => due.push(stored.message.id));
  const add = (id: string, delayMs: number) =>
    delayed.add(new StoredMessage({ id, contentType: '', headers: {}, body: '' }, 2, true), delayMs);
  return { due, delayed, add };
}

test('each is delivered when it is due, whatever the order of adding, with one timer for all', () => {
  const { due, add } = schedule();
  add('late', 300);
  add('early', 100);
  add('middle', 200);
  add('early too', 100);
  expect(vi.getTimerCount()).toBe(1);

  vi.advanceTimersByTime(99);
  expect(due).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(due).toEqual(['early', 'early too']);
  vi.advanceTimersByTime(100);
  expect(due).toEqual(['early', 'early too', 'middle']);
  add('sooner than late', 50);
  vi.advanceTimersByTime(50);
  expect(due.at(-1)).toBe('sooner than late');
  vi.advanceTimersByTime(50);
  expect(due.at(-1)).toBe('late');
  expect(vi.getTimerCount()).toBe(0);
});

test('after clear nothing is due and no timer is left; later additions become due', () => {
  const { due, delayed, add } = schedule();
  add('forgotten', 100);
  delayed.clear();
  expect(vi.getTimerCount()).toBe(0);

  add('new', 200);
  vi.advanceTimersByTime(1000);
  expect(due).toEqual(['new']);
});
