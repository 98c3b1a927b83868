import { expect, test } from 'vitest';
import type { Delivery, QueueSubscription } from '../../src/broker.js';
import { Permit } from '../../src/locks/held-lock.js';

/** A subscription that counts how often it was closed. */
function subscription(): QueueSubscription & { closed: number } {
  return {
    closed: 0,
    ended: new Promise(() => {}),
    cancel: async () => {},
    async close() {
      this.closed++;
    },
    ref: () => {},
    unref: () => {},
  };
}

test('a permit whose wait ended while its subscription was being opened takes none', async () => {
  const permit = new Permit('box-office');
  await permit.release();
  const late = subscription();
  permit.attach(late);
  expect(late.closed).toBe(1);
  let released = 0;
  const delivery = { message: { body: '0' }, release: () => released++ } as unknown as Delivery;
  permit.take(delivery);
  expect(released).toBe(1);
  expect(permit.lost).toBe(false);
});
