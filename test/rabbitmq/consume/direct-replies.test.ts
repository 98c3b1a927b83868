import { expect, test } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createRequester } from '../../../src/producer/requester.js';
import { defineQueue } from '../../../src/queue.js';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { amqpUrl, rawConnection, uniqueName } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';

/** A queue that goes with the connection of its test. */
function shortLived<S extends z.ZodType>(schema: S) {
  return defineQueue(uniqueName('direct-replies'), schema, {
    type: 'classic',
    autoDelete: true,
    deadLetter: false,
    arguments: { 'x-expires': 60_000 },
  });
}

test('a request that waits when the link is cut is UNCONFIRMED at once, and the next one is answered', async () => {
  const target = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: target.hostname, port: Number(target.port || 5672) });
  const near = await connect(amqpUrl());
  const far = await connect(proxy.url(amqpUrl()), { reconnect: { initialDelayMs: 20 } });
  try {
    const queue = shortLived(z.number());
    const begun: number[] = [];
    const consumer = createConsumer(
      near,
      queue,
      (n) => {
        begun.push(n);
        return n < 0 ? new Promise(() => {}) : n * n;
      },
      { concurrency: 2, retry: { delaysMs: [] } },
    );
    await consumer.start();
    const requester = createRequester(far, queue, { reply: z.number(), timeoutMs: Number.POSITIVE_INFINITY });
    const waiting = rejection(requester.request(-1), 'UNCONFIRMED');
    await eventually(() => begun.length === 1);
    proxy.cut();
    await waiting;
    expect(await requester.request(3, { timeoutMs: 60_000 })).toBe(9);
    await requester.close();
    await consumer.stop({ deadlineMs: 0 });
  } finally {
    await Promise.all([near.close(), far.close()]);
    await proxy.close();
  }
});

test('a request that is aborted before its confirm came tells why as any other does', async () => {
  const target = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: target.hostname, port: Number(target.port || 5672) });
  const near = await connect(amqpUrl());
  const far = await connect(proxy.url(amqpUrl()));
  try {
    const queue = shortLived(z.number());
    const begun: number[] = [];
    const consumer = createConsumer(near, queue, (n) => {
      begun.push(n);
    });
    await consumer.start();
    const requester = createRequester(far, queue, { reply: z.number() });
    await rejection(requester.request(1), 'REMOTE_ERROR');
    // What is sent arrives, and neither a confirm nor an answer comes back.
    proxy.halfOpen('to-client');
    const controller = new AbortController();
    const aborted = rejection(requester.request(2, { signal: controller.signal }), 'UNCONFIRMED');
    const late = rejection(requester.request(3, { timeoutMs: 500 }), 'UNCONFIRMED');
    await eventually(() => begun.length === 3);
    const reason = new Error('changed my mind');
    controller.abort(reason);
    expect((await aborted).cause).toMatchObject({ code: 'ABORTED', cause: reason });
    expect((await late).cause).toMatchObject({ code: 'TIMEOUT' });
    await consumer.stop();
  } finally {
    proxy.cut();
    await Promise.all([near.close(), far.close()]);
    await proxy.close();
  }
});

test('a client on raw amqplib gets its answer from a consumer, and a requester from a server on raw amqplib', async () => {
  const broker = await connect(amqpUrl());
  const connection = await rawConnection();
  try {
    const queue = shortLived(z.number());
    const consumer = createConsumer(broker, queue, (n) => n * n);
    await consumer.start();
    const channel = await connection.createChannel();
    const answer = new Promise<unknown>((resolve) => {
      channel.consume('amq.rabbitmq.reply-to', (raw) => resolve(raw), { noAck: true });
    });
    channel.publish('', queue.name, Buffer.from('7'), {
      replyTo: 'amq.rabbitmq.reply-to',
      correlationId: 'c1',
    });
    expect(await answer).toMatchObject({ content: Buffer.from('49'), properties: { correlationId: 'c1' } });
    await consumer.stop();

    const foreign = shortLived(z.number());
    await broker.declare(foreign.spec);
    await channel.consume(foreign.name, (raw) => {
      if (raw === null) return;
      const { replyTo, correlationId } = raw.properties;
      channel.publish('', replyTo, Buffer.from(String(Number(raw.content) + 1)), { correlationId });
      channel.ack(raw);
    });
    const requester = createRequester(broker, foreign, { reply: z.number() });
    expect(await requester.request(41)).toBe(42);
    await requester.close();
  } finally {
    await broker.close();
    await connection.close();
  }
});
