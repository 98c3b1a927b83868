import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { stackOf, withoutFrames } from '../../src/consumer/error-stack.js';
import { toError, toFailure } from '../../src/consumer/thread-task.js';
import { QueueError } from '../../src/errors.js';

function nest(depth: number, width = 1): Error {
  if (depth === 0) return new Error('innermost');
  const inner = nest(depth - 1, width);
  return new AggregateError(Array(width).fill(inner), `level ${depth}`, { cause: inner });
}

function hostile(name: string, get: () => unknown): Error {
  return Object.defineProperty(new Error('no'), name, { get });
}

const throws = () => {
  throw new Error('not readable');
};

describe('the stack of an error', () => {
  test('is followed by those of its causes', () => {
    const cause = new TypeError('no such host', { cause: 'the cable' });
    const stack = stackOf(new Error('not sent', { cause })) ?? '';
    expect(stack).toMatch(/^Error: not sent\n {4}at /);
    expect(stack).toMatch(/\n {2}\[cause\]: TypeError: no such host\n {6}at /);
    expect(stack).toMatch(/\n {4}\[cause\]: the cable$/);
  });

  test('has the errors of an AggregateError, of which the text is often empty', () => {
    const errors = [new Error('connect ECONNREFUSED ::1'), new Error('connect ECONNREFUSED 127.0.0.1')];
    const stack = stackOf(new AggregateError(errors)) ?? '';
    expect(stack).toMatch(/\n {2}\[errors\]: Error: connect ECONNREFUSED ::1\n/);
    expect(stack).toMatch(/\n {2}\[errors\]: Error: connect ECONNREFUSED 127/);
  });

  test('has no other properties: they may be secret', () => {
    const error = Object.assign(new Error('no', { cause: { password: 's3cret' } }), { token: 's3cret' });
    expect(stackOf(error)).not.toContain('s3cret');
  });

  test('ends, however deep, wide or circular its causes are', () => {
    const circular = new Error('circular');
    circular.cause = circular;
    expect(stackOf(circular)).not.toContain('[cause]');
    const deep = stackOf(nest(40)) ?? '';
    expect(deep.match(/\[cause\]/g)).toHaveLength(4);
    expect(Buffer.byteLength(stackOf(nest(5, 6)) ?? '')).toBeLessThanOrEqual(4096);
    expect(stackOf(toError(toFailure(nest(5, 6))))).toMatch(/^AggregateError: level 5\n/);
    expect(toError(toFailure(circular)).message).toBe('circular');
  });

  test('is cut to 4096 bytes, of which each cause has its share', () => {
    const long = (text: string, cause?: Error) => {
      const error = new Error(text, { cause });
      error.stack = `Error: ${text}\n${'    at ünfug\n'.repeat(10_000)}`;
      return error;
    };
    const stack = stackOf(long('outer', long('inner'))) ?? '';
    expect(Buffer.byteLength(stack)).toBeLessThanOrEqual(4096);
    expect(stack).toContain('[cause]: Error: inner\n');
    const huge = new Error('huge');
    huge.stack = 'x'.repeat(50_000_000);
    expect(Buffer.byteLength(stackOf(huge) ?? '')).toBeLessThanOrEqual(4096);
  });

  test('of another realm is one, too', () => {
    expect(stackOf(runInNewContext('new Error("elsewhere")'))).toMatch(/^Error: elsewhere\n {4}at /);
  });

  test('that says no more than the error is none', () => {
    const bare = new Error('no');
    bare.stack = 'Error: no';
    expect(stackOf(bare)).toBeUndefined();
    expect(stackOf(withoutFrames(new QueueError('TIMEOUT', 'too slow')))).toBeUndefined();
    for (const thrown of ['text', 7, null, undefined, { stack: 'of no error' }, Symbol('s'), () => {}]) {
      expect(stackOf(thrown)).toBeUndefined();
    }
  });

  test('can be anything, and is never a reason to fail', () => {
    expect(stackOf(hostile('stack', throws))).toBeUndefined();
    expect(stackOf(hostile('stack', () => 7))).toBeUndefined();
    expect(stackOf(hostile('stack', () => undefined))).toBeUndefined();
    expect(stackOf(hostile('cause', throws))).toMatch(/^Error: no\n {4}at /);
    expect(stackOf(hostile('errors', throws))).toMatch(/^Error: no\n {4}at /);
    const nameless = hostile('stack', throws);
    Object.defineProperty(nameless, 'message', { get: throws });
    expect(stackOf(nameless)).toBeUndefined();
    const { proxy, revoke } = Proxy.revocable(new Error('no'), {});
    revoke();
    expect(stackOf(proxy)).toBeUndefined();
  });
});
