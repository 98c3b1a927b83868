import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { thrown } from '../src/consumer/settlement.js';
import { toFailure } from '../src/consumer/thread-task.js';
import {
  isQueueError,
  isRejectMessage,
  QueueError,
  type QueueErrorCode,
  RejectMessage,
} from '../src/errors.js';

const source = readFileSync(new URL('../src/errors.ts', import.meta.url), 'utf8');
const promises = readFileSync(new URL('../docs/promises.md', import.meta.url), 'utf8');
const troubleshooting = readFileSync(new URL('../docs/troubleshooting.md', import.meta.url), 'utf8');

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

  test('the table in docs/promises.md lists the same codes', () => {
    expect(codesOfTable(promises).sort()).toEqual(codesOfType().sort());
  });

  test('so does the one in docs/troubleshooting.md', () => {
    expect(codesOfTable(troubleshooting).sort()).toEqual(codesOfType().sort());
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

  test('has no cause and no progress unless given', () => {
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

describe('errors of another copy of the package', () => {
  /** The modules are the same, and their classes others. */
  async function otherCopy(): Promise<typeof import('../src/errors.js')> {
    vi.resetModules();
    return import('../src/errors.js');
  }

  test('are known, and their subclasses, by code and as rejections', async () => {
    const other = await otherCopy();
    expect(other.QueueError).not.toBe(QueueError);
    class OtherError extends other.QueueError {}
    class OtherReject extends other.RejectMessage {
      override readonly name = 'OtherReject' as 'RejectMessage';
    }
    for (const error of [new other.QueueError('FULL', 'x'), new OtherError('FULL', 'x')]) {
      expect(error).not.toBeInstanceOf(QueueError);
      expect(isQueueError(error)).toBe(true);
      expect(isQueueError(error, 'TIMEOUT', 'FULL')).toBe(true);
      expect(isQueueError(error, 'TIMEOUT')).toBe(false);
    }
    for (const error of [new other.RejectMessage('x'), new OtherReject('x')]) {
      expect(isRejectMessage(error)).toBe(true);
      expect(isQueueError(error)).toBe(false);
      expect(thrown(error)).toMatchObject({ type: 'hopeless', code: 'rejected' });
      expect(toFailure(error)).toMatchObject({ verdict: 'reject' });
    }
  });

  test('are not confused with similar objects', () => {
    const { proxy, revoke } = Proxy.revocable(new QueueError('FULL', 'x'), {});
    revoke();
    const lookalike = Object.assign(new Error('x'), { name: 'RejectMessage', code: 'FULL' });
    for (const value of [proxy, lookalike, undefined, null, 'FULL', { code: 'FULL' }]) {
      expect(isQueueError(value)).toBe(false);
      expect(isRejectMessage(value)).toBe(false);
    }
  });
});
