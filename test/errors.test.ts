import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isQueueError, QueueError, type QueueErrorCode, RejectMessage } from '../src/errors.js';

const source = readFileSync(new URL('../src/errors.ts', import.meta.url), 'utf8');
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

/** The codes of the type, which exists at compile time only. */
function codesOfType(): string[] {
  const union = /export type QueueErrorCode =([^;]+);/.exec(source)?.[1] ?? '';
  return [...union.matchAll(/'([A-Z_]+)'/g)].map((match) => match[1] ?? '');
}

/** The codes in the first column of a Markdown table; a row may have several. */
function codesOfTable(text: string): string[] {
  const rows = [...text.matchAll(/^[ *]*\|((?: `[A-Z_]+`)+) \|/gm)];
  return rows.flatMap(([, cell]) => [...(cell ?? '').matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code ?? ''));
}

describe('the error codes', () => {
  test('each code is explained once in the doc comment of the type', () => {
    const codes = codesOfType();
    expect(codes).toContain('UNCONFIRMED' satisfies QueueErrorCode);
    expect(codesOfTable(source)).toEqual(codes);
  });

  test('the table in the README lists the same codes', () => {
    expect(codesOfTable(readme).sort()).toEqual(codesOfType().sort());
  });
});

describe('QueueError', () => {
  test('carries its code, its text and its cause', () => {
    const cause = new Error('socket closed');
    const error = new QueueError('UNCONFIRMED', 'the link is gone', { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'QueueError',
      code: 'UNCONFIRMED',
      message: 'the link is gone',
      cause,
    });
    expect(String(error)).toBe('QueueError: the link is gone');
  });

  test('has no cause and no progress where none was given', () => {
    const error = new QueueError('FULL', 'no room');
    expect('cause' in error).toBe(false);
    expect(error.progress).toBeUndefined();
  });

  test('keeps a cause that is undefined, as an aborted signal may have thrown it', () => {
    expect('cause' in new QueueError('ABORTED', 'aborted', { cause: undefined })).toBe(true);
  });

  test('carries the progress of a sendMany', () => {
    const failed = [{ position: 1, error: new QueueError('INVALID_MESSAGE', 'no') }];
    const progress = { taken: 3, stored: 2, failed };
    expect(new QueueError('INVALID_MESSAGE', 'stopped', { progress }).progress).toEqual(progress);
  });
});

describe('isQueueError', () => {
  const full = new QueueError('FULL', 'no room');

  test('without codes it tells a QueueError from everything else', () => {
    expect(isQueueError(full)).toBe(true);
    for (const other of [new Error('FULL'), { code: 'FULL' }, 'FULL', null, undefined]) {
      expect(isQueueError(other)).toBe(false);
    }
  });

  test('with codes it wants one of them', () => {
    expect(isQueueError(full, 'TIMEOUT', 'FULL')).toBe(true);
    expect(isQueueError(full, 'TIMEOUT', 'ABORTED')).toBe(false);
  });
});

test('RejectMessage is an error with a name, a text and a cause of its own', () => {
  const cause = new Error('no such customer');
  expect(new RejectMessage('unknown customer', { cause })).toMatchObject({
    name: 'RejectMessage',
    message: 'unknown customer',
    cause,
  });
});
