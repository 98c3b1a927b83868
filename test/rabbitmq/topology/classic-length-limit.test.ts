import { type ChannelModel, connect } from 'amqplib';
import { describe, expect, it } from 'vitest';
import {
  canStartOwnBroker,
  rabbitmqctl,
  rawConnection,
  startOwnBroker,
  uniqueName,
} from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';

/** Without the toolkit: what docs/faults.md says of RabbitMQ itself. */
describe.runIf(canStartOwnBroker())('a classic queue with an operator’s limit of its length', () => {
  it('drops what is over the limit as soon as the policy is there, unless the queue itself rejects publishes', async () => {
    const queue = uniqueName('limited');
    const dead = `${queue}.dead`;
    const channel = await (await rawConnection()).createConfirmChannel();
    const readyIn = async (name: string) => (await channel.checkQueue(name)).messageCount;
    await channel.assertQueue(dead, { arguments: { 'x-queue-type': 'quorum' } });
    const deadLetter = { deadLetterExchange: '', deadLetterRoutingKey: dead };
    await channel.assertQueue(queue, { ...deadLetter, arguments: { 'x-queue-type': 'classic' } });
    const rejecting = `${queue}.rejecting`;
    const overflow = { 'x-queue-type': 'classic', 'x-overflow': 'reject-publish' };
    await channel.assertQueue(rejecting, { ...deadLetter, arguments: overflow });
    for (const name of [queue, rejecting]) {
      for (let i = 0; i < 20; i++) channel.publish('', name, Buffer.from(`${i}`), { persistent: true });
    }
    await channel.waitForConfirms();
    const policy = { 'max-length': 1, overflow: 'reject-publish' };
    await rabbitmqctl('set_policy', queue, `^${queue}(\\.rejecting)?$`, JSON.stringify(policy));
    await eventually(async () => (await readyIn(dead)) === 19);
    expect(await readyIn(queue)).toBe(1);
    expect(await readyIn(rejecting)).toBe(20);
    await rabbitmqctl('clear_policy', queue);
    for (const name of [queue, rejecting, dead]) await channel.deleteQueue(name);
    await channel.close();
  });

  it('drops confirmed messages when the broker restarts, and dead-letters none of them', async () => {
    const container = await startOwnBroker();
    const queue = uniqueName('limited');
    const dead = `${queue}.dead`;
    const open = () =>
      eventually(async () => {
        const connection: ChannelModel = await connect(container.amqpUrl, { timeout: 10_000 });
        connection.on('error', () => {});
        return connection;
      });

    const before = await (await open()).createConfirmChannel();
    before.on('error', () => {});
    await before.assertQueue(dead, { arguments: { 'x-queue-type': 'quorum' } });
    await before.assertQueue(queue, {
      deadLetterExchange: '',
      deadLetterRoutingKey: dead,
      // As the toolkit declares a capacity: out of reach, for its senders keep it.
      arguments: { 'x-queue-type': 'classic', 'x-max-length': 1_000_000_050, 'x-overflow': 'reject-publish' },
    });
    for (let i = 0; i < 20; i++) before.publish('', queue, Buffer.from(`${i}`), { persistent: true });
    await before.waitForConfirms();
    const policy = { 'max-length': 1, overflow: 'reject-publish' };
    await container.rabbitmqctl('set_policy', queue, `^${queue}$`, JSON.stringify(policy));
    // While the broker runs, the policy takes nothing away.
    expect((await before.checkQueue(queue)).messageCount).toBe(20);
    // A new quorum queue's name is on disk only some seconds later.
    await container.rabbitmqctl('eval', '[dets:sync(Table) || Table <- dets:all()].');
    await container.restart();

    const connection = await open();
    const after = await connection.createChannel();
    const readyIn = async (name: string) => (await after.checkQueue(name)).messageCount;
    await eventually(async () => (await readyIn(queue)) > 0);
    expect(await readyIn(queue)).toBe(1);
    expect(await readyIn(dead)).toBe(0);
    await connection.close();
  });
});
