import { describe, expect, test } from 'vitest';
import {
  booleanOption,
  checkOptionNames,
  durationOption,
  integerOption,
  MAX_DELAY_MS,
  quote,
  wordOption,
} from '../../src/common/options.js';
import { QueueError } from '../../src/errors.js';

/** The text of the `INVALID_OPTION` that `action` throws. */
function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(QueueError);
    expect(error).toHaveProperty('code', 'INVALID_OPTION');
    return (error as QueueError).message;
  }
  throw new Error('nothing was thrown');
}

/** What JavaScript callers give where the types would have stopped others. */
const notNumbers: unknown[] = ['5', null, true, {}, [5], 5n, Number.NaN, Symbol('five')];

describe('integerOption', () => {
  const bounds = { min: 1, max: 10, default: 4 };

  test('accepts the bounds and everything between them', () => {
    for (const value of [1, 5, 10]) expect(integerOption('prefetch', value, bounds)).toBe(value);
  });

  test('gives the default where nothing was given', () => {
    expect(integerOption('prefetch', undefined, bounds)).toBe(4);
  });

  test('refuses values out of bounds, fractions and non-numbers, and quotes them', () => {
    for (const value of [0, 11, 1.5, Number.POSITIVE_INFINITY, ...notNumbers]) {
      const text = refusal(() => integerOption('prefetch', value as number, bounds));
      expect(text).toBe(`prefetch: expected an integer from 1 to 10, got ${quote(value)}`);
    }
  });

  test('takes Infinity only where it is said to', () => {
    const infinity = Number.POSITIVE_INFINITY;
    expect(integerOption('capacity', infinity, { min: 1, infinity: true, default: 4 })).toBe(infinity);
    expect(refusal(() => integerOption('capacity', infinity, { min: 1, default: 4 }))).toContain(
      'of at least 1',
    );
    const text = refusal(() => integerOption('capacity', -1, { min: 1, infinity: true, default: 4 }));
    expect(text).toBe('capacity: expected an integer of at least 1, or Infinity, got -1');
  });

  test('refuses integers that a number can no longer tell apart', () => {
    refusal(() => integerOption('capacity', 2 ** 53, { min: 1, default: 4 }));
  });
});

describe('durationOption', () => {
  test('accepts whole and fractional milliseconds up to the limit of a timer', () => {
    for (const value of [0, 0.5, 1000, MAX_DELAY_MS]) {
      expect(durationOption('timeoutMs', value, { default: 7 })).toBe(value);
    }
    expect(durationOption('timeoutMs', undefined, { default: 7 })).toBe(7);
  });

  test('refuses values that a timer would turn into 1 ms', () => {
    for (const value of [MAX_DELAY_MS + 1, Number.POSITIVE_INFINITY, -1, ...notNumbers]) {
      const text = refusal(() => durationOption('timeoutMs', value as number, { default: 7 }));
      expect(text).toContain(`got ${quote(value)}`);
    }
  });

  test('takes Infinity where no limit is allowed, and keeps to the lower bound', () => {
    const bounds = { min: 10, infinity: true, default: 7 };
    expect(durationOption('timeoutMs', Number.POSITIVE_INFINITY, bounds)).toBe(Number.POSITIVE_INFINITY);
    expect(refusal(() => durationOption('timeoutMs', 9, bounds))).toContain('Infinity for no limit');
  });
});

describe('wordOption', () => {
  const words = ['quorum', 'classic'] as const;

  test('takes its words and gives the default where nothing was given', () => {
    expect(wordOption('type', 'classic', words, 'quorum')).toBe('classic');
    expect(wordOption('type', undefined, words, 'quorum')).toBe('quorum');
  });

  test('refuses other words and lists its own', () => {
    const text = refusal(() => wordOption<string>('type', 'stream', words, 'quorum'));
    expect(text).toBe(`type: expected 'quorum' or 'classic', got "stream"`);
    refusal(() => wordOption<string>('type', 'toString', words, 'quorum'));
  });
});

test('booleanOption accepts true and false only', () => {
  expect(booleanOption('durable', false, true)).toBe(false);
  expect(booleanOption('durable', undefined, true)).toBe(true);
  for (const value of ['false', 0, 1, null]) {
    expect(refusal(() => booleanOption('durable', value as unknown as boolean, true))).toContain(
      'true or false',
    );
  }
});

describe('checkOptionNames', () => {
  test('lets known names and missing options pass', () => {
    checkOptionNames('send', { id: '1', signal: undefined }, ['id', 'signal']);
    checkOptionNames('send', undefined, ['id']);
  });

  test('refuses a misspelt name and says which there are', () => {
    const text = refusal(() => checkOptionNames('send', { timeout: 5 }, ['id', 'timeoutMs']));
    expect(text).toBe('send: there is no option "timeout"; the options are id, timeoutMs');
  });

  test('refuses non-objects', () => {
    for (const options of [null, 'fast', 5]) {
      expect(refusal(() => checkOptionNames('send', options as unknown as object, ['id']))).toContain(
        'object',
      );
    }
  });
});

describe('quote', () => {
  test('shows strings as JSON does, and other values as an inspector does', () => {
    expect(quote('a "b"\n')).toBe('"a \\"b\\"\\n"');
    expect(quote({ a: [1] })).toBe('{ a: [ 1 ] }');
    expect(quote(undefined)).toBe('undefined');
  });

  test('is short whatever it is given', () => {
    for (const value of ['x'.repeat(100_000), Array(1000).fill('word'), new Error('e'.repeat(5000))]) {
      expect(quote(value).length).toBeLessThanOrEqual(121);
    }
  });

  test('survives objects that throw when looked at', () => {
    const hostile = {
      get name(): string {
        throw new Error('no');
      },
      toString(): string {
        throw new Error('no');
      },
    };
    expect(quote(hostile)).toBeTypeOf('string');
  });
});
