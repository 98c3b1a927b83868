import { expect, test } from 'vitest';
import { canStartOwnBroker, rawConnection, startOwnCluster } from '../broker.js';
import { eventually } from '../eventually.js';

test('a cluster of three replicates a quorum queue, loses its leader and gets it back', async (context) => {
  context.skip(!canStartOwnBroker(), 'needs Docker, not the broker of TEST_AMQP_URL');
  const cluster = await startOwnCluster();
  const channel = await (await rawConnection(cluster.amqpUrls[0])).createConfirmChannel();
  await channel.assertQueue('kept', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  await cluster.untilWhole('kept');
  channel.sendToQueue('kept', Buffer.from('still here'), { persistent: true });
  await channel.waitForConfirms();

  const leader = await cluster.leaderOf('kept');
  const others = cluster.nodes.filter((node) => node !== leader);
  await leader.kill();
  for (const { amqpUrl } of others) {
    const reader = await (await rawConnection(amqpUrl)).createChannel();
    // The next leader is elected only now.
    const message = await eventually(() => reader.get('kept'));
    expect(message.content.toString()).toBe('still here');
    reader.nack(message);
  }
  await leader.start();
  await cluster.untilWhole('kept');
  expect(others).toContain(await cluster.leaderOf('kept'));
}, 120_000);
