import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Backend, QueueSpec } from '../../../src/broker.js';
import { defineExchange } from '../../../src/exchange.js';
import { defineQueue } from '../../../src/queue.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('fan-out');
const exchange = defineExchange(`${prefix}-exchange`, { type: 'fanout' });
let broker: Backend;

beforeAll(async () => {
  broker = await connect(amqpUrl());
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

async function bound(name: string, options: object): Promise<QueueSpec> {
  const { spec } = defineQueue(`${prefix}-${name}`, z.unknown(), {
    deadLetter: false,
    ...options,
    bindings: [{ exchange }],
  });
  await broker.declare(spec);
  return spec;
}

const message = (id: string) => ({ id, contentType: '', headers: {}, body: id });
const to = { exchange: exchange.name, routingKey: '' };

describe('a message that one of several queues refuses', () => {
  it('is UNCONFIRMED at once, is in the others once, and is not sent again when there is room', async () => {
    const full = await bound('full', { capacity: 1 });
    const free = await bound('free', {});
    // It takes a few more than its capacity before it refuses.
    let published = 0;
    let refused = 0;
    while (refused < 6 && published < 200) {
      published++;
      const outcome = await broker.publish(to, message(`m${published}`)).catch((error) => error);
      if (outcome === true) continue;
      refused++;
      expect(outcome.code).toBe('UNCONFIRMED');
      expect(outcome.message).toMatch(/a queue behind the exchange refused it/);
      expect(outcome.cause.code).toBe('REFUSED');
    }
    expect(refused).toBe(6);
    await untilAsserted(async () => expect((await broker.inspect(free.name)).ready).toBe(published));
    await rejection(broker.publish(to, message('no wait'), { noWait: true }), 'UNCONFIRMED');
    await broker.purge(full.name);
    // What comes next through the same channel is alone: nothing was waiting to be sent again.
    await eventually(async () => {
      const outcome = await broker.publish(to, message('next')).catch((error) => error.code);
      published++;
      return outcome === true;
    });
    await untilAsserted(async () => expect((await broker.inspect(free.name)).ready).toBe(published + 1));
  });
});
