import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Failure } from '../../src/broker.js';
import {
  attemptOf,
  deadLetterHeaders,
  deadLetterHistory,
  MAX_ATTEMPTS,
  retryHeaders,
} from '../../src/common/history-headers.js';

const refused: Failure = { code: 'failed', error: 'connection refused' };
const timedOut: Failure = { code: 'failed', error: 'timed out' };
const rejected: Failure = { code: 'rejected', error: 'negative total' };

describe('the headers of a retried message', () => {
  test('say the next attempt and what went wrong, next to those of the sender', () => {
    const headers = retryHeaders({ tenant: 'blue' }, 2, refused);
    expect(headers).toEqual({
      tenant: 'blue',
      'x-millrace-attempt': '2',
      'x-millrace-error': 'connection refused',
      'x-millrace-first-error': 'connection refused',
    });
    expect(attemptOf(headers)).toBe(2);
  });

  test('keep the first error and replace the last', () => {
    const headers = retryHeaders(retryHeaders({}, 2, refused), 3, timedOut);
    expect(headers).toMatchObject({
      'x-millrace-attempt': '3',
      'x-millrace-error': 'timed out',
      'x-millrace-first-error': 'connection refused',
    });
  });

  test('leave the given headers as they are, values of any type included', () => {
    const given = Object.freeze({ count: 7, nested: Object.freeze({ a: 1 }) });
    const headers = retryHeaders(given, 2, refused);
    expect(headers).toMatchObject({ count: 7, nested: { a: 1 } });
    expect(given).toEqual({ count: 7, nested: { a: 1 } });
  });
});

describe('the headers of a dead letter', () => {
  test('tell reason, last and first error, attempts, queue and time', () => {
    const before = Date.now();
    const headers = deadLetterHeaders(retryHeaders({ tenant: 'blue' }, 2, refused), {
      queue: 'orders',
      attempt: 2,
      failure: rejected,
    });
    const history = deadLetterHistory(headers);
    expect(history).toEqual({
      reason: 'rejected',
      error: 'negative total',
      firstError: 'connection refused',
      attempts: 2,
      queue: 'orders',
      deadAt: expect.any(String),
    });
    expect(headers.tenant).toBe('blue');
    const deadAt = history?.deadAt ?? '';
    expect(new Date(deadAt).toISOString()).toBe(deadAt);
    expect(Date.parse(deadAt)).toBeGreaterThanOrEqual(before);
  });

  test('are distinguished from those of a message that is not a dead letter', () => {
    expect(deadLetterHistory({})).toBeUndefined();
    expect(deadLetterHistory({ 'x-millrace-attempt': '3', 'x-millrace-error': 'e' })).toBeUndefined();
  });

  test('are readable where another tool wrote only the reason', () => {
    expect(deadLetterHistory({ 'x-millrace-reason': 'expired' })).toEqual({
      reason: 'expired',
      error: '',
      firstError: '',
      attempts: 1,
      queue: '',
      deadAt: '',
    });
  });
});

describe('a long error text', () => {
  test('is cut short, and stays well-formed wherever the cut falls', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4 }), fc.constantFrom('x', 'ü', '😀'), (offset, letter) => {
        const error = 'a'.repeat(offset) + letter.repeat(5000);
        const headers = deadLetterHeaders(retryHeaders({}, 2, { code: 'failed', error }), {
          queue: 'orders',
          attempt: 2,
          failure: { code: 'failed', error },
        });
        for (const name of ['x-millrace-error', 'x-millrace-first-error']) {
          const text = String(headers[name]);
          expect(text.length).toBeLessThan(1100);
          expect(text.isWellFormed()).toBe(true);
          expect(text.endsWith('…')).toBe(true);
        }
      }),
    );
  });
});

describe('attemptOf', () => {
  test('is 1 where the header says nothing readable, or more than any policy has', () => {
    const unreadable = [
      undefined,
      null,
      '',
      '0',
      '-1',
      '1.5',
      'two',
      'Infinity',
      '1e400',
      {},
      [2, 3],
      '9'.repeat(30),
      String(Number.MAX_SAFE_INTEGER),
      MAX_ATTEMPTS + 1,
    ];
    for (const value of unreadable) expect(attemptOf({ 'x-millrace-attempt': value })).toBe(1);
    expect(attemptOf({})).toBe(1);
  });

  test('reads what retryHeaders wrote, for every attempt', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_ATTEMPTS }), (attempt) => {
        expect(attemptOf(retryHeaders({}, attempt, refused))).toBe(attempt);
      }),
    );
  });
});
