import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend, PublishOptions } from '../../src/broker.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { aroundBroker } from '../../src/testing/around-broker.js';
import { connect } from '../support/connect.js';
import { rejection } from '../support/rejection.js';

const DECLARE_MS = 200;
const SCHEMA_MS = 200;

test('the time that declaring the queue takes is taken off the time limit of the send', async () => {
  const broker = await connect('local:');
  const queue = defineQueue('full', z.number(), { capacity: 1 });
  await createProducer(broker, queue).send(1);
  let limits: PublishOptions | undefined;
  const slow: Backend = Object.assign(aroundBroker(broker, {}), {
    declare: async (...args: Parameters<Backend['declare']>) => {
      await new Promise((resolve) => setTimeout(resolve, DECLARE_MS));
      await broker.declare(...args);
    },
    publish: (...[to, message, options]: Parameters<Backend['publish']>) => {
      limits = options;
      return broker.publish(to, message, options);
    },
  });
  const error = await rejection(createProducer(slow, queue).send(2, { timeoutMs: 1000 }), 'TIMEOUT');
  expect(error.message).toContain('within 1000 ms');
  // A timer may fire a millisecond early.
  expect(limits?.timeoutMs).toBeLessThanOrEqual(1000 - DECLARE_MS + 1);
  await broker.close();
});

test('the time that an asynchronous schema takes is taken off the time limit of the send', async () => {
  const broker = await connect('local:');
  const thoughtful = z.number().refine(async () => {
    await new Promise((resolve) => setTimeout(resolve, SCHEMA_MS));
    return true;
  });
  let limits: PublishOptions | undefined;
  const watched: Backend = Object.assign(aroundBroker(broker, {}), {
    publish: (...[to, message, options]: Parameters<Backend['publish']>) => {
      limits = options;
      return broker.publish(to, message, options);
    },
  });
  const producer = createProducer(watched, defineQueue('thoughtful', thoughtful));
  for (let time = 0; time < 2; time++) {
    // The first declares the queue, the second does not.
    await producer.send(1, { timeoutMs: 60_000 });
    expect(limits?.timeoutMs).toBeLessThanOrEqual(60_000 - SCHEMA_MS + 1);
  }
  await broker.close();
});
