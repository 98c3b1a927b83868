import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Failure, HeaderValue, MessageHeaders } from '../../../src/broker.js';
import { deadLetterHeaders, deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import {
  cutToBytes,
  ERROR,
  FAILURES,
  FIRST_ERROR,
  failuresIn,
  STACK,
  stackIn,
  withFailure,
} from '../../../src/common/message/failure-headers.js';
import { headersBytes, MAX_HEADERS_BYTES } from '../../../src/common/message/headers.js';
import { retryHeaders } from '../../../src/common/message/retry-headers.js';

const refused: Failure = { code: 'failed', error: 'connection refused' };
const bytesIn = (headers: MessageHeaders, name: string) => Buffer.byteLength(String(headers[name]));

/** Any text, with what is special to JSON, to terminals and to UTF-8. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 5000 }),
  fc.constantFrom('\0'.repeat(5000), '"'.repeat(3000), '\ud800'.repeat(3000), '😀'.repeat(3000), ''),
);

describe('the header with the failures', () => {
  test('is JSON that other programs can read', () => {
    const at = Date.parse('2026-01-31T09:14:03.500Z');
    const headers = withFailure({}, 1, { ...refused, at });
    expect(JSON.parse(String(headers[FAILURES]))).toEqual([
      {
        attempt: 1,
        at: '2026-01-31T09:14:03.500Z',
        host: expect.any(String),
        pid: process.pid,
        error: 'connection refused',
      },
    ]);
  });

  test('has at most 4096 bytes, the first failure and the latest ones, whatever the errors are', () => {
    fc.assert(
      fc.property(fc.array(anyText, { minLength: 1, maxLength: 14 }), (errors) => {
        let headers: Record<string, HeaderValue> = { tenant: 'blue' };
        for (const [index, error] of errors.entries()) {
          headers = withFailure(headers, index + 1, { code: 'failed', error, stack: error });
          expect(bytesIn(headers, FAILURES)).toBeLessThanOrEqual(4096);
          expect(bytesIn(headers, STACK)).toBeLessThanOrEqual(4096);
        }
        const attempts = failuresIn(headers).map(({ attempt }) => attempt);
        const latest = errors
          .map((_, index) => index + 1)
          .slice(1)
          .slice(-9);
        expect(attempts[0]).toBe(1);
        expect(latest.slice(latest.length - attempts.length + 1)).toEqual(attempts.slice(1));
        expect(attempts.length).toBeGreaterThan(Math.min(2, errors.length - 1));
        expect(headers.tenant).toBe('blue');
      }),
      { numRuns: 50 },
    );
  });

  test('is read again as it was written by another client, with further fields and without a process', () => {
    const text =
      ' [ {"attempt": 1, "at": "2026-01-31T10:14:03+01:00", "error": "no", "zone": 7, "pid": "x"} ]\n';
    const read = { attempt: 1, at: '2026-01-31T09:14:03.000Z', error: 'no', host: undefined, pid: undefined };
    expect(failuresIn({ [FAILURES]: text })).toEqual([read]);
    const next = withFailure({ [FAILURES]: text }, 2, refused);
    expect(failuresIn(next)).toEqual([read, expect.objectContaining({ attempt: 2 })]);
  });

  test('is rubbish as soon as one entry is', () => {
    const entry = { attempt: 1, at: '2026-01-31T09:14:03.000Z', error: 'no' };
    const wrong: unknown[] = [
      { ...entry, attempt: 0 },
      { ...entry, attempt: '1' },
      { ...entry, attempt: 1e300 },
      { ...entry, at: 7 },
      { ...entry, at: 'Invalid Date' },
      { ...entry, error: null },
      [entry],
      7,
      null,
    ];
    for (const one of wrong) expect(failuresIn({ [FAILURES]: JSON.stringify([entry, one]) })).toEqual([]);
    expect(failuresIn({ [FAILURES]: JSON.stringify(Array(11).fill(entry)) })).toEqual([]);
    expect(failuresIn({ [FAILURES]: JSON.stringify(entry) })).toEqual([]);
  });

  test('a stranger can write one that leaves no room: the next failure begins anew', () => {
    const entry = { attempt: 1, at: '2026-01-31T09:14:03.000Z', error: 'x'.repeat(5000) };
    const headers = withFailure({ [FAILURES]: JSON.stringify([entry]) }, 2, refused);
    expect(failuresIn(headers)).toMatchObject([{ attempt: 2, error: 'connection refused' }]);
  });

  test('a stranger can write one that is nested too deep to be written again', () => {
    const deep = '['.repeat(8000) + ']'.repeat(8000);
    const text = `[{"attempt":1,"at":"2026-01-31T09:14:03.000Z","error":"no","more":${deep}}]`;
    const next = withFailure({ [FAILURES]: text }, 2, refused);
    expect(failuresIn(next)).toMatchObject([{ attempt: 1, error: 'no' }, { attempt: 2 }]);
    expect(bytesIn(next, FAILURES)).toBeLessThanOrEqual(4096);
  });

  test('is written for a failure whose time is none', () => {
    for (const at of [Number.NaN, Number.POSITIVE_INFINITY, 1e300]) {
      const [failure] = failuresIn(withFailure({}, 1, { ...refused, at }));
      expect(Math.abs(Date.parse(failure?.at ?? '') - Date.now())).toBeLessThan(60_000);
    }
  });
});

describe('the header with the stack', () => {
  const failed = { ...refused, stack: 'Error: connection refused\n    at connect' };

  test('is that of the last error, or none if that has none', () => {
    const first = withFailure({}, 1, failed);
    expect(stackIn(first)).toBe(failed.stack);
    expect(stackIn(withFailure(first, 2, { ...refused, stack: 'Error: no' }))).toBe('Error: no');
    expect(stackIn(withFailure(first, 2, refused))).toBeUndefined();
    expect(stackIn(withFailure(first, 2, { code: 'rejected', error: 'no' }))).toBeUndefined();
  });

  test.each(['expired', 'delivery-limit', 'damaged'] as const)(
    'stays where no handler has failed: %s',
    (code) => {
      const retried = retryHeaders({}, 2, failed);
      const dead = deadLetterHeaders(retried, { queue: 'q', attempt: 2, failure: { code, error: 'no' } });
      expect(stackIn(dead)).toBe(failed.stack);
      expect(failuresIn(dead)).toMatchObject([{ attempt: 1 }, { attempt: 2, error: 'no' }]);
    },
  );
});

test('a dead letter has no stack where a version that writes none had the last attempt', () => {
  const first = retryHeaders({}, 2, { ...refused, stack: 'Error: first' });
  const byOldVersion = { ...first, 'x-millrace-attempts': '2', 'x-millrace-reason': 'failed' };
  expect(deadLetterHistory(byOldVersion)?.stack).toBeUndefined();
  expect(deadLetterHistory({ ...byOldVersion, 'x-millrace-attempts': '1' })?.stack).toBe('Error: first');
});

test('headers that would not fit lose the stack first, and then the failures', () => {
  const stack = 'x'.repeat(4000);
  const with_ = (room: number) => {
    const fill = 'ü'.repeat(Math.floor((MAX_HEADERS_BYTES - room - headersBytes({ fill: '' })) / 2));
    const headers = retryHeaders({ fill }, 2, { ...refused, stack });
    expect(headers.fill).toBe(fill);
    return [STACK, FAILURES].filter((name) => name in headers);
  };
  expect(with_(6000)).toEqual([STACK, FAILURES]);
  expect(with_(2000)).toEqual([FAILURES]);
  expect(with_(150)).toEqual([]);
});

test('errors too long for the room that is left are shortened', () => {
  const fill = 'x'.repeat(MAX_HEADERS_BYTES - 3000 - headersBytes({ fill: '' }));
  const error = '€'.repeat(1000);
  const retried = retryHeaders({ fill }, 2, { ...refused, error });
  const dead = deadLetterHeaders(retried, { queue: 'q', attempt: 2, failure: { ...refused, error } });
  for (const headers of [retried, dead]) {
    expect(headersBytes(headers)).toBeLessThanOrEqual(MAX_HEADERS_BYTES);
    expect(headers.fill).toBe(fill);
    expect(headers[ERROR]).toMatch(/^€{32}…$/);
    expect(headers[FIRST_ERROR]).toMatch(/^€{32}…$/);
  }
});

test('a text is cut to bytes, and stays well-formed wherever the cut falls', () => {
  fc.assert(
    fc.property(anyText, fc.integer({ min: 3, max: 5000 }), (text, maxBytes) => {
      const cut = cutToBytes(text, maxBytes);
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(maxBytes);
      expect(cut.isWellFormed()).toBe(true);
      if (cut !== text.toWellFormed()) expect(cut.endsWith('…')).toBe(true);
    }),
  );
});
