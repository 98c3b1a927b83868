import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Failure } from '../../../src/broker.js';
import { attemptOf, MAX_ATTEMPTS, retryHeaders } from '../../../src/common/message/retry-headers.js';

const refused: Failure = { code: 'failed', error: 'connection refused' };
const timedOut: Failure = { code: 'failed', error: 'timed out' };

describe('the headers of a retried message', () => {
  test('say the next attempt and what went wrong, next to those of the sender', () => {
    const headers = retryHeaders({ tenant: 'blue' }, 2, refused);
    expect(headers).toEqual({
      tenant: 'blue',
      'x-millrace-attempt': '2',
      'x-millrace-error': 'connection refused',
      'x-millrace-first-error': 'connection refused',
      'x-millrace-failures': expect.stringMatching(
        /^\[{"attempt":1,"at":".*,"error":"connection refused"}\]$/,
      ),
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
