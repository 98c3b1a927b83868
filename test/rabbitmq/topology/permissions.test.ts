/** The table of permissions in docs/rabbitmq.md: a user with those of a row, and no others, can do what the row says. */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../../../src/connect.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { RejectMessage } from '../../../src/errors.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { amqpUrl, brokerRunsInContainer, rabbitmqctl, uniqueName } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('permitted');
afterAll(() => removeQueues(prefix));

const page = readFileSync(new URL('../../../docs/rabbitmq.md', import.meta.url), 'utf8');

/** The three patterns of a row, for the queue `name` in place of `orders`. */
function permissionsOf(row: string, name: string): string[] {
  const line = page.split('\n').find((each) => each.startsWith(`| ${row}`)) ?? '';
  const cells = line.split('|').slice(2, 5);
  expect(cells, row).toHaveLength(3);
  return cells.map((cell) => {
    const names = [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text.replace('orders', name));
    const patterns = names.map((each) => each.replaceAll('.', '\\.').replaceAll('*', '.*'));
    return `^(${patterns.join('|')})$`;
  });
}

/** The address for a user with the permissions of these rows. */
async function userWith(name: string, ...rows: string[]): Promise<string> {
  const user = uniqueName('permitted');
  await rabbitmqctl('add_user', user, 's3cret');
  onTestFinished(async () => {
    await rabbitmqctl('delete_user', user);
  });
  const all = rows.map((row) => permissionsOf(row, name));
  const [configure = '', write = '', read = ''] = [0, 1, 2].map((index) =>
    all.map((patterns) => patterns[index]).join('|'),
  );
  await rabbitmqctl('set_permissions', user, configure, write, read);
  const address = new URL(amqpUrl());
  address.username = user;
  address.password = 's3cret';
  return address.href;
}

// The user is made by rabbitmqctl in the broker's container: TEST_AMQP_URL names none.
describe.skipIf(!brokerRunsInContainer())('the permissions of the guide suffice', () => {
  test('to send to a queue that does not exist yet', async () => {
    const queue = defineQueue(uniqueName(prefix), z.string());
    await using broker = await connect(await userWith(queue.name, 'sending'));
    await createProducer(broker, queue).send('A-1');
    expect((await broker.inspect(queue.name)).ready).toBe(1);
  });

  test('to consume, retry and dead-letter', async () => {
    const queue = defineQueue(uniqueName(prefix), z.string());
    await using admin = await connect(amqpUrl());
    await createProducer(admin, queue).send('A-1');
    await using broker = await connect(await userWith(queue.name, 'consuming'));
    const consumer = createConsumer(
      broker,
      queue,
      (_value, { attempt }) => {
        throw attempt === 1 ? new Error('once more') : new RejectMessage('never');
      },
      { retry: { delaysMs: [10] }, observe: () => {} },
    );
    await consumer.start();
    await eventually(() => consumer.counts.deadLettered === 1);
    await consumer.stop();
    expect(consumer.counts).toMatchObject({ retried: 1, settleFailed: 0 });
  });

  test('to list dead letters and to replay them', async () => {
    const queue = defineQueue(uniqueName(prefix), z.string());
    await using admin = await connect(amqpUrl());
    await createProducer(admin, queue).send('A-1');
    const refusing = createConsumer(
      admin,
      queue,
      () => {
        throw new RejectMessage('never');
      },
      { observe: () => {} },
    );
    await refusing.start();
    await eventually(() => refusing.counts.deadLettered === 1);
    await refusing.stop();
    await using broker = await connect(await userWith(queue.name, '[dead letters]'));
    const dead = deadLetters(broker, queue.name);
    expect((await dead.list()).deadLetters).toHaveLength(1);
    expect(await dead.replay()).toMatchObject({ replayed: 1 });
  });

  test('to send a delayed message', async () => {
    const queue = defineQueue(uniqueName(prefix), z.string());
    const address = await userWith(queue.name, 'sending', '[delayed messages]');
    await using broker = await connect(address);
    await createProducer(broker, queue).send('A-1', { delayMs: 1 });
    await eventually(async () => (await broker.inspect(queue.name)).ready === 1);
  });
});
