import { expect } from 'vitest';
import { z } from 'zod';
import { deadLetterHistory } from '../../src/common/history-headers.js';
import { type Received, receive } from '../../src/consumer/receive.js';
import { createProducer } from '../../src/producer/producer.js';
import { rejection } from '../support/rejection.js';
import { addressOf, message } from './contract-context.js';
import type { Cases } from './contract-suite.js';

export const receiveCases: Cases = {
  'a loop receives the messages in order, with what is known about them': async (bench) => {
    const queue = bench.define(z.number());
    const producer = createProducer(bench.broker, queue);
    const { id } = await producer.send(0, {
      headers: { tenant: 'blue' },
      correlationId: 'c1',
      replyTo: 'r1',
    });
    await producer.sendMany([1, 2]);
    const received: Received<number>[] = [];
    for await (const item of receive(bench.broker, queue)) {
      received.push(item);
      item.ack();
      if (item.value === 2) break;
    }
    expect(received.map(({ value }) => value)).toEqual([0, 1, 2]);
    expect(received[0]).toMatchObject({ id, queue: queue.name, attempt: 1, redelivered: false });
    expect(received[0]).toMatchObject({ headers: { tenant: 'blue' }, correlationId: 'c1', replyTo: 'r1' });
    expect(await bench.ready(queue.name)).toBe(0);
  },

  'leaving the loop gives back what is unsettled, also what was prefetched': async (bench) => {
    const queue = bench.define(z.number());
    await createProducer(bench.broker, queue).sendMany([0, 1, 2, 3, 4]);
    for await (const item of receive(bench.broker, queue, { prefetch: 3 })) {
      if (item.value === 1) break;
      item.ack();
    }
    await bench.untilCounted(queue.name, { ready: 4, consumers: 0 });
    const rest: number[] = [];
    for await (const item of receive(bench.broker, queue)) {
      expect(item.attempt).toBe(1);
      item.ack();
      if (rest.push(item.value) === 4) break;
    }
    expect(rest.sort()).toEqual([1, 2, 3, 4]);
  },

  'an error thrown in the loop gives back what is unsettled, and comes out': async (bench) => {
    const queue = bench.define(z.number());
    await createProducer(bench.broker, queue).send(1);
    const failing = async () => {
      for await (const _item of receive(bench.broker, queue)) throw new RangeError('too bad');
    };
    await expect(failing()).rejects.toThrow(RangeError);
    await bench.untilCounted(queue.name, { ready: 1, consumers: 0 });
  },

  'retry, deadLetter and release do in a loop what they do elsewhere': async (bench) => {
    const queue = bench.define(z.string());
    await createProducer(bench.broker, queue).send('x');
    const seen: [number, boolean][] = [];
    for await (const item of receive(bench.broker, queue)) {
      seen.push([item.attempt, item.redelivered]);
      if (seen.length === 1) item.release();
      else if (seen.length === 2) await item.retry(20, new Error('not yet'));
      else {
        await item.deadLetter('never');
        break;
      }
    }
    expect(seen).toEqual([
      [1, false],
      [1, true],
      [2, true],
    ]);
    const dead = await (await bench.inbox(`${queue.name}.dead`)).next();
    expect(deadLetterHistory(dead.message.headers)).toMatchObject({
      reason: 'rejected',
      error: expect.stringContaining('never'),
      firstError: 'not yet',
      attempts: 2,
    });
  },

  'messages that do not fit are dead letters, and the loop does not see them': async (bench) => {
    const queue = bench.define(z.number());
    await bench.broker.declare(queue.spec);
    for (const body of ['{', '"x"', '7']) {
      await bench.broker.publish(addressOf(queue.name), message({ contentType: 'application/json', body }));
    }
    for await (const item of receive(bench.broker, queue)) {
      expect(item.value).toBe(7);
      item.ack();
      break;
    }
    const dead = await (await bench.inbox(`${queue.name}.dead`)).take(2);
    expect(dead.map((delivery) => deadLetterHistory(delivery.message.headers)?.reason)).toEqual([
      'undecodable',
      'invalid',
    ]);
  },

  'a signal ends the loop without an error': async (bench) => {
    const queue = bench.define(z.number());
    await createProducer(bench.broker, queue).sendMany([1, 2]);
    const controller = new AbortController();
    const values: number[] = [];
    for await (const item of receive(bench.broker, queue, { signal: controller.signal })) {
      values.push(item.value);
      item.ack();
      if (values.length === 2) setImmediate(() => controller.abort());
    }
    expect(values).toEqual([1, 2]);
    for await (const item of receive(bench.broker, queue, { signal: controller.signal })) {
      throw new Error(`received ${item.value} after the end`);
    }
    await bench.untilCounted(queue.name, { ready: 0, consumers: 0 });
  },

  'closing the broker ends the loop': async (bench) => {
    const queue = bench.define(z.number());
    await createProducer(bench.broker, queue).send(1);
    const values: number[] = [];
    for await (const item of receive(bench.broker, queue)) {
      values.push(item.value);
      item.ack();
      void bench.broker.close();
    }
    expect(values).toEqual([1]);
  },

  'a loop over a queue that is not there throws QUEUE_MISSING': async (bench) => {
    const queue = bench.define(z.number(), { declare: 'existing' });
    const looping = async () => {
      for await (const item of receive(bench.broker, queue)) item.ack();
    };
    await rejection(looping(), 'QUEUE_MISSING');
  },
};
