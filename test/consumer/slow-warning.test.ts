import { expect, test } from 'vitest';
import type { Delivery } from '../../src/broker.js';
import type { ConsumerEvent } from '../../src/consumer/consumer.js';
import { OutcomeReport } from '../../src/consumer/outcome-report.js';
import { slowWarning } from '../../src/consumer/slow-warning.js';
import { connect } from '../support/connect.js';

const none = { settleWithinMs: undefined, heldMs: 0 };

test('a warning is emitted after 80 % of the time limit', () => {
  expect(slowWarning({ ...none, handlerTimeoutMs: 1000 })).toEqual({
    afterMs: 800,
    leftMs: 200,
    limit: 'handler',
  });
});

test('the limit of the broker counts from the delivery on, and the one that comes first is warned of', () => {
  const held = { handlerTimeoutMs: 5000, settleWithinMs: 1000 };
  expect(slowWarning({ ...held, heldMs: 0 })).toEqual({ afterMs: 800, leftMs: 200, limit: 'broker' });
  expect(slowWarning({ ...held, heldMs: 500 })).toEqual({ afterMs: 300, leftMs: 200, limit: 'broker' });
  expect(slowWarning({ ...held, handlerTimeoutMs: 400, heldMs: 0 })).toMatchObject({ limit: 'handler' });
});

test('the warning is due at once if the time has passed already', () => {
  expect(slowWarning({ handlerTimeoutMs: 5000, settleWithinMs: 1000, heldMs: 900 })).toEqual({
    afterMs: 0,
    leftMs: 100,
    limit: 'broker',
  });
});

test('there is no warning without a limit, or with one beyond the range of a timer', () => {
  const forever = Number.POSITIVE_INFINITY;
  expect(slowWarning({ ...none, handlerTimeoutMs: forever })).toBeUndefined();
  expect(slowWarning({ settleWithinMs: 2 ** 40, heldMs: 0, handlerTimeoutMs: forever })).toBeUndefined();
});

test('a delivery is reported once, though its schema and its handler may both be slow', async () => {
  const broker = await connect('local:');
  const events: ConsumerEvent[] = [];
  const report = new OutcomeReport(broker, { name: 'orders', deadLetter: false }, (event) => {
    events.push(event);
  });
  const [one, other] = ['a', 'b'].map((id) => ({ message: { id }, attempt: 1 }) as Delivery);
  for (const delivery of [one, other, one]) if (delivery !== undefined) report.slow(delivery, 'handler', 5);
  expect(events).toMatchObject([
    { type: 'slow', id: 'a' },
    { type: 'slow', id: 'b' },
  ]);
  await broker.close();
});
