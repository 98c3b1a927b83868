import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Failure } from '../../../src/broker.js';
import { deadLetterHeaders, deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import { retryHeaders } from '../../../src/common/message/retry-headers.js';

const refused: Failure = { code: 'failed', error: 'connection refused' };
const rejected: Failure = { code: 'rejected', error: 'negative total' };

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
      failures: [
        expect.objectContaining({ attempt: 1, error: 'connection refused' }),
        expect.objectContaining({ attempt: 2, error: 'negative total' }),
      ],
      stack: undefined,
      queue: 'orders',
      deadAt: expect.any(String),
    });
    expect(headers.tenant).toBe('blue');
    const deadAt = history?.deadAt ?? '';
    expect(new Date(deadAt).toISOString()).toBe(deadAt);
    expect(Date.parse(deadAt)).toBeGreaterThanOrEqual(before);
  });

  test('are without the history of the message in its old queue: it neither expires nor has had attempts', () => {
    const old = { 'x-millrace-attempt': '2', 'x-millrace-postpones': '3', 'x-millrace-expires-at': '1' };
    const headers = deadLetterHeaders(
      { ...old, tenant: 'blue' },
      { queue: 'q', attempt: 2, failure: rejected },
    );
    expect(Object.keys(headers).filter((name) => name in old)).toEqual([]);
    expect(headers.tenant).toBe('blue');
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
      failures: [],
      stack: undefined,
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
