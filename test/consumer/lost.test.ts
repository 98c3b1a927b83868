import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend, Delivery } from '../../src/broker.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { receive } from '../../src/consumer/receive.js';
import { deadLetters } from '../../src/dead-letters/dead-letters.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { aroundBroker, withVerbs } from '../../src/testing/around-broker.js';
import { addressOf, message } from '../contract/contract-context.js';
import { EventLog } from '../support/event-log.js';
import { eventually } from '../support/eventually.js';

const queue = defineQueue('orders', z.string());
let broker: Backend;
beforeEach(() => {
  broker = openMemoryBroker();
});
afterEach(() => broker.close());

/** A broker over a link that can be cut: what is unsettled then is lost, and what is sent meanwhile waits. */
function cuttable() {
  const unsettled = new Set<() => void>();
  const held: (() => void)[] = [];
  let isHolding = false;
  const around = aroundBroker(broker, {});
  const publish: Backend['publish'] = async (...args) => {
    if (isHolding) await new Promise<void>((resolve) => held.push(resolve));
    return broker.publish(...args);
  };
  const subscribe: Backend['subscribe'] = (name, options, onDelivery) =>
    broker.subscribe(name, options, (original: Delivery) => {
      let isLost = false;
      const unlessLost = (verb: () => void) => {
        unsettled.delete(lose);
        if (!isLost) verb();
      };
      const delivery = withVerbs(original, {
        ack: () => unlessLost(() => original.ack()),
        release: () => unlessLost(() => original.release()),
      });
      const lose = () => {
        isLost = true;
        options.onLost?.(delivery, new Error('the link was cut'));
      };
      unsettled.add(lose);
      onDelivery(delivery);
    });
  return {
    broker: Object.assign(Object.create(around), { publish, subscribe }) as Backend,
    /** As many messages as it costs. */
    cut(): number {
      const lost = [...unsettled];
      unsettled.clear();
      for (const lose of lost) lose();
      return lost.length;
    },
    holdPublishes: () => {
      isHolding = true;
    },
    letPublishesGo: () => {
      isHolding = false;
      for (const release of held.splice(0)) release();
    },
    get heldPublishes() {
      return held.length;
    },
  };
}

test('messages that a cut link takes away are counted as lost, and as nothing else', async () => {
  const link = cuttable();
  const log = new EventLog();
  const ends: (() => void)[] = [];
  const handler = () => new Promise<void>((resolve) => ends.push(resolve));
  const consumer = createConsumer(link.broker, queue, handler, {
    concurrency: 2,
    prefetch: 5,
    observe: log.observe,
  });
  await consumer.start();
  await createProducer(broker, queue).sendMany(['a', 'b', 'c', 'd', 'e']);
  await eventually(() => ends.length === 2);
  expect(link.cut()).toBe(5);
  expect(log.of('lost').map(({ error }) => error.message)).toEqual(new Array(5).fill('the link was cut'));
  for (const end of ends) end();
  await turn();
  const none = {
    handled: 0,
    retried: 0,
    postponed: 0,
    deadLettered: 0,
    expired: 0,
    released: 0,
    settleFailed: 0,
    redelivered: 0,
  };
  expect(consumer.counts).toEqual({ ...none, lost: 5 });
  await consumer.stop();
});

test.each([
  ['is being stored', true],
  ['has nowhere to go', false],
])('a request that is taken away while its answer %s is lost, and nothing else', async (_name, isStored) => {
  const link = cuttable();
  const log = new EventLog();
  const consumer = createConsumer(link.broker, queue, () => 'the answer', {
    replies: 'any',
    observe: log.observe,
  });
  await consumer.start();
  if (isStored) await broker.declare(defineQueue('answers', z.string()).spec);
  link.holdPublishes();
  const request = message({
    contentType: 'application/json',
    body: '"x"',
    replyTo: 'answers',
    correlationId: 'c1',
  });
  await broker.publish(addressOf('orders'), request);
  await eventually(() => link.heldPublishes === 1);
  expect(link.cut()).toBe(1);
  link.letPublishesGo();
  if (isStored) await eventually(async () => (await broker.inspect('answers')).ready === 1);
  await consumer.stop();
  expect(log.events.map(({ type }) => type)).toEqual(['lost']);
  expect(consumer.counts).toMatchObject({ handled: 0, lost: 1, released: 0 });
});

test('nothing of a consumer stays on the signals that it was given', async () => {
  const { signal } = new AbortController();
  const listeners = () => getEventListeners(signal, 'abort').length;
  const consumer = createConsumer(broker, queue, () => {});
  await consumer.start({ signal });
  expect(listeners()).toBe(0);
  await consumer.stop();
  await createProducer(broker, queue).send('x');
  for await (const item of receive(broker, queue, { signal })) {
    expect(listeners()).toBe(1);
    item.ack();
    break;
  }
  expect(listeners()).toBe(0);
  const iterator = receive(broker, queue, { signal })[Symbol.asyncIterator]();
  await iterator.return?.();
  expect(listeners()).toBe(0);
  const dead = deadLetters(broker, queue);
  await broker.publish(addressOf('orders.dead'), message({ contentType: 'application/json', body: '"x"' }));
  await dead.list({ signal });
  await dead.replay({ signal, rate: 1000 });
  await dead.drop({ signal });
  expect(listeners()).toBe(0);
});
