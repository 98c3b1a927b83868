import { expect, test } from 'vitest';
import { CommandError, EXIT, exitCodeOf } from '../../../src/cli/exit-code.js';
import { exitCodeOfSignal } from '../../../src/cli/stop-signal.js';
import { QueueError, type QueueErrorCode } from '../../../src/errors.js';

test.each<[QueueErrorCode, number]>([
  ['INVALID_OPTION', 2],
  ['INVALID_MESSAGE', 65],
  ['TOO_LARGE', 65],
  ['FULL', 75],
  ['TIMEOUT', 75],
  ['UNROUTABLE', 75],
  ['UNCONFIRMED', 75],
  ['STORAGE_FULL', 75],
  ['QUEUE_MISSING', 4],
  ['QUEUE_MISMATCH', 78],
  ['STORAGE_ERROR', 78],
  ['UNREACHABLE', 69],
  ['ACCESS_REFUSED', 77],
  ['REFUSED', 1],
  ['BROKER_ERROR', 1],
  ['CLOSED', 1],
  ['ABORTED', 1],
])('%s becomes %i', (code, exitCode) => {
  expect(exitCodeOf(new QueueError(code, 'what happened'))).toBe(exitCode);
});

test('an error after some values were stored is a partial success', () => {
  const progress = { taken: 3, stored: 2, failed: [] };
  expect(exitCodeOf(new QueueError('UNROUTABLE', 'x', { progress }))).toBe(EXIT.partial);
  expect(exitCodeOf(new QueueError('UNROUTABLE', 'x', { progress: { ...progress, stored: 0 } }))).toBe(75);
});

test('what ended a sendMany from outside counts by its own cause', () => {
  const cause = new QueueError('TOO_LARGE', 'line 3 is too long');
  const aborted = new QueueError('ABORTED', 'x', { cause });
  const progress = { taken: 2, stored: 0, failed: [] };
  expect(exitCodeOf(new QueueError('ABORTED', 'x', { cause: aborted, progress }))).toBe(65);
});

test('anything else is a failure', () => {
  expect(exitCodeOf(new TypeError('a bug'))).toBe(1);
  expect(exitCodeOf('text')).toBe(1);
});

test('an error of the command itself sets its exit code', () => {
  expect(exitCodeOf(new CommandError(EXIT.configuration, 'x'))).toBe(78);
});

test('a signal that ended the work early is 128 and its number', () => {
  expect(exitCodeOfSignal('SIGINT')).toBe(130);
  expect(exitCodeOfSignal('SIGTERM')).toBe(143);
  expect(exitCodeOfSignal('SIGHUP')).toBe(129);
  expect(exitCodeOfSignal('SIGQUIT')).toBe(131);
});
