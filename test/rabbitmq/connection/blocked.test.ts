import { expect, it } from 'vitest';
import { z } from 'zod';
import type { BrokerEvent, Message } from '../../../src/broker.js';
import { pause, RPC_LIMIT_MS } from '../../../src/common/waiting/waiting.js';
import { defineQueue } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { canStartOwnBroker, startOwnBroker } from '../../support/broker.js';
import { run } from '../../support/command.js';
import { eventually } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection, watch } from '../../support/rejection.js';

const message = (id: string): Message => ({ id, contentType: 'text/plain', headers: {}, body: id });

it.concurrent('while the broker blocks publishers sends wait, deliveries go on, and close ends in time', async (context) => {
  context.skip(!canStartOwnBroker(), 'an alarm would block everybody on the broker of TEST_AMQP_URL');
  const container = await startOwnBroker();
  const alarm = async (fraction: string) => {
    const command = ['exec', container.id, 'rabbitmqctl', 'set_vm_memory_high_watermark', fraction];
    expect((await run('docker', command, { timeoutMs: 30_000 })).exitCode).toBe(0);
  };
  const events: BrokerEvent[] = [];
  const broker = await openRabbitMqBroker([container.amqpUrl], { observe: (event) => events.push(event) });
  const { spec } = defineQueue('blocked', z.unknown(), { deadLetter: false });
  await broker.declare(spec);
  const publish = (id: string, options = {}) =>
    broker.publish({ exchange: '', routingKey: spec.name }, message(id), options);
  await publish('a');

  await alarm('0.0001');
  // RabbitMQ tells a connection only when it publishes during the alarm.
  const b = publish('b');
  const bWatched = watch(b);
  await eventually(() => broker.state === 'blocked');
  await rejection(publish('hasty', { noWait: true }), 'FULL');
  await rejection(publish('impatient', { timeoutMs: 100 }), 'TIMEOUT');
  const inbox = await Inbox.open(broker, spec.name);
  expect(await inbox.ackNext(1)).toEqual(['a']);
  expect(bWatched.state).toBe('pending');

  await alarm('0.9');
  await b;
  await eventually(() => broker.state === 'connected');
  expect(broker.counts).toMatchObject({ blocked: 1 });
  await publish('c');
  expect(await inbox.ackNext(2)).toEqual(['b', 'c']);
  expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(['blocked', 'unblocked']));

  await alarm('0.0001');
  const last = publish('last');
  await eventually(() => broker.state === 'blocked');
  await Promise.all([broker.close(), rejection(last, 'UNCONFIRMED')]);
});

it.concurrent('replies can be asked for while the broker blocks publishers, and arrive when it does not any more', async (context) => {
  context.skip(!canStartOwnBroker(), 'an alarm would block everybody on the broker of TEST_AMQP_URL');
  const container = await startOwnBroker();
  const alarm = (fraction: string) => container.rabbitmqctl('set_vm_memory_high_watermark', fraction);
  const broker = await openRabbitMqBroker([container.amqpUrl], {});
  const { spec } = defineQueue('blocked-replies', z.unknown(), { deadLetter: false });
  await broker.declare(spec);
  await broker.publish({ exchange: '', routingKey: spec.name }, message('a'));
  await alarm('0.0001');
  const sent = broker.publish({ exchange: '', routingKey: spec.name }, message('b'));
  await eventually(() => broker.state === 'blocked');
  const replies = broker.receiveReplies({ onReply: () => {}, onLost: () => {} });
  const address = replies.replyTo();
  const watched = watch(address);
  // Longer than an answer of a broker that takes publishes may take.
  await pause(RPC_LIMIT_MS + 1000);
  expect(watched.state).toBe('pending');
  await alarm('0.9');
  expect(await address).toMatch(/^amq\.rabbitmq\.reply-to/);
  await sent;
  await replies.close();
  await broker.close();
});
