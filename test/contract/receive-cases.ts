import { once } from 'node:events';
import { Readable } from 'node:stream';
import { expect } from 'vitest';
import { z } from 'zod';
import { deadLetterHistory } from '../../src/common/history-headers.js';
import { type Received, receive } from '../../src/consumer/receive.js';
import { createProducer } from '../../src/producer/producer.js';
import { eventually } from '../support/eventually.js';
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

  'an iterator that waits can be closed, and swallows no message': async (bench) => {
    const queue = bench.define(z.number());
    const producer = createProducer(bench.broker, queue);
    const iterator = receive(bench.broker, queue)[Symbol.asyncIterator]();
    const waiting = [iterator.next(), iterator.next()];
    await bench.untilCounted(queue.name, { consumers: 1 });
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    for (const next of waiting) expect(await next).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await bench.untilCounted(queue.name, { consumers: 0 });
    await producer.send(1);
    await bench.untilCounted(queue.name, { ready: 1 });
  },

  'closing an iterator gives back a message that is being validated': async (bench) => {
    let validating = 0;
    const schema = z.number().refine(() => {
      validating++;
      return new Promise(() => {});
    });
    const queue = bench.define(schema);
    await bench.broker.declare(queue.spec);
    await bench.broker.publish(
      addressOf(queue.name),
      message({ contentType: 'application/json', body: '1' }),
    );
    const iterator = receive(bench.broker, queue)[Symbol.asyncIterator]();
    const next = iterator.next();
    await eventually(() => validating > 0);
    await iterator.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
    await bench.untilCounted(queue.name, { ready: 1, consumers: 0 });
  },

  'an iterator is iterable itself: a loop goes on where `next` left off': async (bench) => {
    const queue = bench.define(z.number());
    await createProducer(bench.broker, queue).sendMany([0, 1, 2]);
    const iterator = receive(bench.broker, queue)[Symbol.asyncIterator]();
    const first = await iterator.next();
    first.value?.ack();
    const rest: number[] = [];
    for await (const item of iterator) {
      item.ack();
      if (rest.push(item.value) === 2) break;
    }
    expect([first.value?.value, ...rest]).toEqual([0, 1, 2]);
    await bench.untilCounted(queue.name, { ready: 0, consumers: 0 });
  },

  'a stream of received messages that is destroyed leaves the next message in the queue': async (bench) => {
    const queue = bench.define(z.number());
    const producer = createProducer(bench.broker, queue);
    await producer.send(0);
    const stream = Readable.from(receive(bench.broker, queue));
    const [first] = (await once(stream, 'data')) as [Received<number>];
    first.ack();
    stream.destroy();
    await once(stream, 'close');
    await producer.send(1);
    await bench.untilCounted(queue.name, { ready: 1, consumers: 0 });
  },

  'calls of `next` that overlap get one message each, in order': async (bench) => {
    const queue = bench.define(z.number());
    await createProducer(bench.broker, queue).sendMany([0, 1, 2]);
    const iterator = receive(bench.broker, queue, { prefetch: 3 })[Symbol.asyncIterator]();
    const results = await Promise.all([iterator.next(), iterator.next(), iterator.next()]);
    expect(results.map(({ value }) => value?.value)).toEqual([0, 1, 2]);
    for (const { value } of results) value?.ack();
    await iterator.return?.();
    await bench.untilCounted(queue.name, { ready: 0, consumers: 0 });
  },
};
