import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { createPublisher } from '../../../src/topics/publisher.js';
import { defineSubscription } from '../../../src/topics/subscription.js';
import { defineTopic } from '../../../src/topics/topic.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { eventually } from '../../support/eventually.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('overflow');
afterAll(() => removeQueues(prefix));

test.each([
  ['dead letters', {}],
  ['nothing', { deadLetter: false }],
] as const)(
  'a subscription that drops its oldest events refuses none; they become %s',
  async (what, options) => {
    const broker = await connect(amqpUrl());
    const topic = defineTopic(`${prefix}-${what.replace(' ', '-')}`, { grain: z.number() });
    const bounded = defineSubscription(topic, 'bounded', {
      to: ['grain'],
      ...options,
      arguments: { 'x-max-length': 3, 'x-overflow': 'drop-head' },
    });
    const all = defineSubscription(topic, 'all', { to: ['grain'] });
    for (const { spec } of [bounded, all]) await broker.declare(spec);
    const publisher = createPublisher(broker, topic);
    for (let number = 1; number <= 10; number++) {
      expect(await publisher.publish('grain', number, { id: `${number}` })).toMatchObject({ routed: true });
    }
    await eventually(async () => (await broker.inspect(bounded.name)).ready === 3);
    expect((await broker.inspect(all.name)).ready).toBe(10);
    if (bounded.spec.deadLetter !== false) {
      const { queue } = bounded.spec.deadLetter;
      await eventually(async () => (await broker.inspect(queue)).ready === 7);
      const { deadLetters: dropped } = await deadLetters(broker, bounded).list();
      expect(dropped.map(({ id }) => id)).toEqual(['1', '2', '3', '4', '5', '6', '7']);
    }
    await broker.close();
  },
);
