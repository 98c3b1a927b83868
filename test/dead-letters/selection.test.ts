import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../src/broker.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import type { DeadLetter } from '../../src/dead-letters/dead-letter.js';
import { type DeadLetters, deadLetters } from '../../src/dead-letters/dead-letters.js';
import { RejectMessage } from '../../src/errors.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { eventually } from '../support/eventually.js';
import { Inbox, idsOf } from '../support/inbox.js';
import { rejection } from '../support/rejection.js';

const orders = defineQueue('orders', z.object({ country: z.string() }));
let broker: Backend;
let dead: DeadLetters;
/** Dead letters of the countries de, fr, de, fr: the first two are rejected, the others failed. */
beforeEach(async () => {
  broker = openMemoryBroker();
  dead = deadLetters(broker, orders);
  const consumer = createConsumer(
    broker,
    orders,
    (_, { id }) => {
      throw id < 'o2' ? new RejectMessage(`no licence for ${id}`) : new Error('no answer');
    },
    { retry: { delaysMs: [] }, observe: () => {} },
  );
  await consumer.start();
  const countries = ['de', 'fr', 'de', 'fr'];
  for (const [index, country] of countries.entries())
    await createProducer(broker, orders).send({ country }, { id: `o${index}` });
  await eventually(() => consumer.counts.deadLettered === 4);
  await consumer.stop();
});
afterEach(() => broker.close());

const isGerman = ({ message: { body } }: DeadLetter) => String(body).includes('"de"');
const idsAt = async (queue: string) => {
  const inbox = await Inbox.open(broker, queue, { prefetch: 10 });
  const { ready } = await broker.inspect(queue);
  const ids = idsOf(await inbox.take(ready + inbox.deliveries.length));
  await inbox.subscription.close();
  return ids;
};

test('where selects the dead letters for which it returns true, with all that is known of them', async () => {
  const seen: unknown[] = [];
  const { deadLetters: found, scanned } = await dead.list({
    where: (letter) => {
      seen.push([letter.id, letter.queue, letter.reason, letter.attempts, letter.error]);
      return isGerman(letter);
    },
  });
  expect(found.map(({ id }) => id)).toEqual(['o0', 'o2']);
  expect(scanned).toBe(4);
  expect(seen).toEqual([
    ['o0', 'orders', 'rejected', 1, 'no licence for o0'],
    ['o1', 'orders', 'rejected', 1, 'no licence for o1'],
    ['o2', 'orders', 'failed', 1, 'no answer'],
    ['o3', 'orders', 'failed', 1, 'no answer'],
  ]);
});

test('where is called only with those that meet the other conditions, and the limit counts those it selects', async () => {
  const seen: string[] = [];
  const where = (letter: DeadLetter) => {
    seen.push(letter.id);
    return isGerman(letter);
  };
  expect((await dead.list({ reason: 'failed', where })).deadLetters.map(({ id }) => id)).toEqual(['o2']);
  expect(seen).toEqual(['o2', 'o3']);
  expect((await dead.list({ where: (letter) => !isGerman(letter), limit: 1 })).deadLetters).toMatchObject([
    { id: 'o1' },
  ]);
});

test('replay and drop take the selected ones, and the others stay in their order', async () => {
  expect(await dead.replay({ where: isGerman })).toMatchObject({ replayed: 2 });
  expect(await idsAt('orders')).toEqual(['o0', 'o2']);
  expect(await dead.drop({ where: ({ id }) => id === 'o1' })).toMatchObject({ dropped: 1 });
  expect(await idsAt('orders.dead')).toEqual(['o3']);
});

test('a where that throws ends the call with its error, and every dead letter stays', async () => {
  const where = ({ id }: DeadLetter) => {
    if (id === 'o2') throw new Error('which country?');
    return false;
  };
  for (const call of [() => dead.list({ where }), () => dead.replay({ where }), () => dead.drop({ where })])
    await expect(call()).rejects.toThrow('which country?');
  expect(await idsAt('orders.dead')).toEqual(['o0', 'o1', 'o2', 'o3']);
});

test('a where that is asynchronous is refused, since its promise would count as true: nothing is replayed or dropped', async () => {
  for (const answer of [async () => false, () => Promise.reject(new Error('which country?'))]) {
    const where = answer as unknown as () => boolean;
    for (const call of [
      () => dead.list({ where }),
      () => dead.replay({ where }),
      () => dead.drop({ where }),
    ]) {
      const error = await rejection(call(), 'INVALID_OPTION');
      expect(error.message).toContain('where: expected a function that returns true or false, not a promise');
    }
  }
  expect(await idsAt('orders.dead')).toEqual(['o0', 'o1', 'o2', 'o3']);
});

test('what is no function is refused', async () => {
  const where = 'country = de' as unknown as () => boolean;
  const error = await rejection(dead.drop({ where }), 'INVALID_OPTION');
  expect(error.message).toContain('where: expected a function');
});
