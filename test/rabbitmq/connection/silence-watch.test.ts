import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watchSilence } from '../../../src/rabbitmq/connection/silence-watch.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test.each([0, 1, 249, 250, 999])(
  'silence is found after more than one and less than two heartbeats, whenever it begins (%s ms)',
  (offsetMs) => {
    const connection = { heartbeat: 1, stream: { bytesRead: 0 } };
    const onSilent = vi.fn();
    watchSilence(connection, onSilent);
    vi.advanceTimersByTime(offsetMs);
    connection.stream.bytesRead += 8;
    vi.advanceTimersByTime(1500);
    expect(onSilent).not.toHaveBeenCalled();
    vi.advanceTimersByTime(500);
    expect(onSilent).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(5000);
    expect(onSilent).toHaveBeenCalledOnce();
  },
);

test('a broker that says something every now and then is not silent', () => {
  const connection = { heartbeat: 1, stream: { bytesRead: 0 } };
  const onSilent = vi.fn();
  watchSilence(connection, onSilent);
  for (let beat = 0; beat < 20; beat++) {
    vi.advanceTimersByTime(1400);
    connection.stream.bytesRead += 8;
  }
  expect(onSilent).not.toHaveBeenCalled();
});

test('there is nothing to find without heartbeats, and after the end of the watch', () => {
  const onSilent = vi.fn();
  watchSilence({ heartbeat: 0, stream: { bytesRead: 0 } }, onSilent);
  watchSilence({}, onSilent);
  const stop = watchSilence({ heartbeat: 1, stream: { bytesRead: 0 } }, onSilent);
  stop();
  vi.advanceTimersByTime(10_000);
  expect(onSilent).not.toHaveBeenCalled();
});
