import { once } from 'node:events';
import { Readable } from 'node:stream';
import { expect } from 'vitest';
import { z } from 'zod';

import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import { receive } from '../../../src/consumer/receive.js';
import type { Received } from '../../../src/consumer/received.js';
import { createProducer } from '../../../src/producer/producer.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';
import { addressOf, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

export const receiveCases: Cases = {
  'a loop receives the messages in order, with their properties': async (t) => {
    const queue = t.define(z.number());
    const producer = createProducer(t.broker, queue);
    const { id } = await producer.send(0, {
      headers: { tenant: 'blue' },
      correlationId: 'c1',
      replyTo: 'r1',
    });
    await producer.sendMany([1, 2]);
    const received: Received<number>[] = [];
    for await (const item of receive(t.broker, queue)) {
      received.push(item);
      item.ack();
      if (item.value === 2) break;
    }
    expect(received.map(({ value }) => value)).toEqual([0, 1, 2]);
    expect(received[0]).toMatchObject({ id, queue: queue.name, attempt: 1, redelivered: false });
    expect(received[0]).toMatchObject({ headers: { tenant: 'blue' }, correlationId: 'c1', replyTo: 'r1' });
    expect(await t.ready(queue.name)).toBe(0);
  },

  'leaving the loop returns unsettled messages, including prefetched ones': async (t) => {
    const queue = t.define(z.number());
    await createProducer(t.broker, queue).sendMany([0, 1, 2, 3, 4]);
    for await (const item of receive(t.broker, queue, { prefetch: 3 })) {
      if (item.value === 1) break;
      item.ack();
    }
    await t.untilCounted(queue.name, { ready: 4, consumers: 0 });
    const rest: number[] = [];
    for await (const item of receive(t.broker, queue)) {
      expect(item.attempt).toBe(1);
      item.ack();
      if (rest.push(item.value) === 4) break;
    }
    expect(rest.sort()).toEqual([1, 2, 3, 4]);
  },

  'an error thrown in the loop returns unsettled messages, and propagates': async (t) => {
    const queue = t.define(z.number());
    await createProducer(t.broker, queue).send(1);
    const failing = async () => {
      for await (const _item of receive(t.broker, queue)) throw new RangeError('too bad');
    };
    await expect(failing()).rejects.toThrow(RangeError);
    await t.untilCounted(queue.name, { ready: 1, consumers: 0 });
  },

  'retry, deadLetter and release work in a loop as elsewhere': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x');
    const seen: [number, boolean][] = [];
    for await (const item of receive(t.broker, queue)) {
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
    const dead = await (await t.inbox(`${queue.name}.dead`)).next();
    expect(deadLetterHistory(dead.message.headers)).toMatchObject({
      reason: 'rejected',
      error: expect.stringContaining('never'),
      firstError: 'not yet',
      attempts: 2,
    });
  },

  'postpone in a loop raises no attempt, and counts in a header': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x');
    const seen: [number, unknown][] = [];
    for await (const item of receive(t.broker, queue)) {
      seen.push([item.attempt, item.headers['x-millrace-postpones']]);
      if (seen.length === 3) {
        item.ack();
        break;
      }
      await rejection(item.postpone(-1), 'INVALID_OPTION');
      await item.postpone(10);
    }
    expect(seen.map(([attempt]) => attempt)).toEqual([1, 1, 1]);
    expect(seen.map(([, postpones]) => Number(postpones ?? 0))).toEqual([0, 1, 2]);
  },

  'messages that fail the schema are dead letters, and the loop does not see them': async (t) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(z.number());
    await t.broker.declare(queue.spec);
    for (const body of ['{', '"x"', '7']) {
      await t.broker.publish(addressOf(queue.name), message({ contentType: 'application/json', body }));
    }
    for await (const item of receive(t.broker, queue)) {
      expect(item.value).toBe(7);
      item.ack();
      break;
    }
    const dead = await (await t.inbox(`${queue.name}.dead`)).take(2);
    expect(dead.map((delivery) => deadLetterHistory(delivery.message.headers)?.reason)).toEqual([
      'undecodable',
      'invalid',
    ]);
  },

  'a signal ends the loop without an error': async (t) => {
    const queue = t.define(z.number());
    await createProducer(t.broker, queue).sendMany([1, 2]);
    const controller = new AbortController();
    const values: number[] = [];
    for await (const item of receive(t.broker, queue, { signal: controller.signal })) {
      values.push(item.value);
      item.ack();
      if (values.length === 2) setImmediate(() => controller.abort());
    }
    expect(values).toEqual([1, 2]);
    for await (const item of receive(t.broker, queue, { signal: controller.signal })) {
      throw new Error(`received ${item.value} after the end`);
    }
    await t.untilCounted(queue.name, { ready: 0, consumers: 0 });
  },

  'closing the broker ends the loop': async (t) => {
    const queue = t.define(z.number());
    await createProducer(t.broker, queue).send(1);
    const values: number[] = [];
    for await (const item of receive(t.broker, queue)) {
      values.push(item.value);
      item.ack();
      void t.broker.close();
    }
    expect(values).toEqual([1]);
  },

  'a loop over a missing queue throws QUEUE_MISSING': async (t) => {
    const queue = t.define(z.number(), { declare: 'existing' });
    const looping = async () => {
      for await (const item of receive(t.broker, queue)) item.ack();
    };
    await rejection(looping(), 'QUEUE_MISSING');
  },

  'a waiting iterator can be closed, and swallows no message': async (t) => {
    const queue = t.define(z.number());
    const producer = createProducer(t.broker, queue);
    const iterator = receive(t.broker, queue)[Symbol.asyncIterator]();
    const waiting = [iterator.next(), iterator.next()];
    await t.untilCounted(queue.name, { consumers: 1 });
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    for (const next of waiting) expect(await next).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await t.untilCounted(queue.name, { consumers: 0 });
    await producer.send(1);
    await t.untilCounted(queue.name, { ready: 1 });
  },

  'closing an iterator returns a message that is being validated': async (t) => {
    let validating = 0;
    const schema = z.number().refine(() => {
      validating++;
      return new Promise(() => {});
    });
    const queue = t.define(schema);
    await t.broker.declare(queue.spec);
    await t.broker.publish(addressOf(queue.name), message({ contentType: 'application/json', body: '1' }));
    const iterator = receive(t.broker, queue)[Symbol.asyncIterator]();
    const next = iterator.next();
    await eventually(() => validating > 0);
    await iterator.return?.();
    expect(await next).toEqual({ done: true, value: undefined });
    await t.untilCounted(queue.name, { ready: 1, consumers: 0 });
  },

  'an iterator is iterable itself: a loop goes on where `next` left off': async (t) => {
    const queue = t.define(z.number());
    await createProducer(t.broker, queue).sendMany([0, 1, 2]);
    const iterator = receive(t.broker, queue)[Symbol.asyncIterator]();
    const first = await iterator.next();
    first.value?.ack();
    const rest: number[] = [];
    for await (const item of iterator) {
      item.ack();
      if (rest.push(item.value) === 2) break;
    }
    expect([first.value?.value, ...rest]).toEqual([0, 1, 2]);
    await t.untilCounted(queue.name, { ready: 0, consumers: 0 });
  },

  'a stream of received messages that is destroyed leaves the next message in the queue': async (t) => {
    const queue = t.define(z.number());
    const producer = createProducer(t.broker, queue);
    await producer.send(0);
    const stream = Readable.from(receive(t.broker, queue));
    const [first] = (await once(stream, 'data')) as [Received<number>];
    first.ack();
    stream.destroy();
    await once(stream, 'close');
    await producer.send(1);
    await t.untilCounted(queue.name, { ready: 1, consumers: 0 });
  },

  'calls of `next` that overlap get one message each, in order': async (t) => {
    const queue = t.define(z.number());
    await createProducer(t.broker, queue).sendMany([0, 1, 2]);
    const iterator = receive(t.broker, queue, { prefetch: 3 })[Symbol.asyncIterator]();
    const results = await Promise.all([iterator.next(), iterator.next(), iterator.next()]);
    expect(results.map(({ value }) => value?.value)).toEqual([0, 1, 2]);
    for (const { value } of results) value?.ack();
    await iterator.return?.();
    await t.untilCounted(queue.name, { ready: 0, consumers: 0 });
  },
};
