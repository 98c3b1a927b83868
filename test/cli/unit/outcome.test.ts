import { expect, test } from 'vitest';
import { Tally } from '../../../src/cli/commands/work/outcome.js';
import type { ConsumerEvent } from '../../../src/consumer/consumer.js';

const failure = { code: 'failed', error: 'x' } as const;

function tallyOf(...events: readonly (readonly [ConsumerEvent['type'], id: string])[]): Tally {
  const tally = new Tally();
  for (const [type, id] of events) {
    const info = { queue: 'q', id, attempt: 1, redelivered: false };
    if (type === 'retried') tally.add({ type, ...info, failure, delayMs: 1 });
    else if (type === 'dead-lettered') tally.add({ type, ...info, failure });
    else if (type === 'handled' || type === 'released') tally.add({ type, ...info });
    else if (type === 'lost' || type === 'settle-failed') tally.add({ type, ...info, error: new Error('x') });
  }
  return tally;
}

test('all handled is a success', () => {
  expect(tallyOf(['handled', 'a'], ['handled', 'b'], ['released', 'c']).exitCode).toBe(0);
});

test('nothing at all is empty', () => {
  expect(tallyOf().exitCode).toBe(4);
});

test('a dead letter or a pending retry among the handled ones makes it partial', () => {
  expect(tallyOf(['handled', 'a'], ['dead-lettered', 'b']).exitCode).toBe(3);
  expect(tallyOf(['handled', 'a'], ['retried', 'b']).exitCode).toBe(3);
});

test('nothing but failures is a failure', () => {
  expect(tallyOf(['retried', 'a'], ['dead-lettered', 'b']).exitCode).toBe(1);
});

test('a message that failed and was handled later is a success', () => {
  expect(tallyOf(['retried', 'a'], ['lost', 'b'], ['handled', 'a'], ['handled', 'b']).exitCode).toBe(0);
});

test('a message that was retried and died counts once', () => {
  const tally = tallyOf(['retried', 'a'], ['dead-lettered', 'a'], ['handled', 'b']);
  expect(tally.exitCode).toBe(3);
});
