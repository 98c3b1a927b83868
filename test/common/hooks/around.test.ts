import { AsyncLocalStorage } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { createBatchConsumer } from '../../../src/batches/create-batch-consumer.js';
import type { Broker } from '../../../src/broker.js';
import type { Around, SendContext } from '../../../src/common/hooks/around.js';
import { connect } from '../../../src/connect.js';
import type { HandlerContext } from '../../../src/consumer/consumer.js';
import type { ConsumerOptions } from '../../../src/consumer/consumer-options.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { createRequester } from '../../../src/producer/requester.js';
import { defineQueue } from '../../../src/queue.js';
import { createPublisher } from '../../../src/topics/publisher.js';
import { defineSubscription } from '../../../src/topics/subscription.js';
import { defineTopic } from '../../../src/topics/topic.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';

const queue = defineQueue('orders', z.string());
let broker: Broker;
beforeEach(async () => {
  broker = await connect('local:', { observe: () => {} });
});
afterEach(() => broker.close());

/** Says when it begins and ends. */
function saying(said: string[], name: string): Around<unknown> {
  return async (next) => {
    said.push(`${name} begins`);
    try {
      return await next();
    } finally {
      said.push(`${name} ends`);
    }
  };
}

const NESTED = ['outer begins', 'inner begins', 'work', 'inner ends', 'outer ends'];

const tenant: Around<SendContext> = (next, { headers }) => {
  headers.tenant = 'mill';
  return next();
};

async function consume(
  handle: (value: string, context: HandlerContext) => unknown,
  options: ConsumerOptions<string>,
) {
  const consumer = createConsumer(broker, queue, handle, {
    observe: () => {},
    retry: { delaysMs: [0] },
    ...options,
  });
  await consumer.start();
  onTestFinished(async () => void (await consumer.stop()));
  return consumer;
}

describe('around a handler', () => {
  test('the first function is the outermost', async () => {
    const said: string[] = [];
    const consumer = await consume(() => said.push('work'), {
      around: [saying(said, 'outer'), saying(said, 'inner')],
    });
    await createProducer(broker, queue).send('x');
    await eventually(() => consumer.counts.handled === 1);
    expect(said).toEqual(NESTED);
  });

  test('what a function throws is an attempt that failed, and what it catches is handled', async () => {
    const contexts: number[] = [];
    const consumer = await consume(() => Promise.reject(new Error('no')), {
      around: [
        async (next, { attempt }) => {
          contexts.push(attempt);
          if (attempt === 1) throw new Error('refused');
          return next().catch(() => undefined as never);
        },
      ],
    });
    await createProducer(broker, queue).send('x');
    await eventually(() => consumer.counts.handled === 1);
    expect(consumer.counts).toMatchObject({ retried: 1, deadLettered: 0 });
    expect(contexts).toEqual([1, 2]);
  });

  test('the handler runs within what a function has set up', async () => {
    const store = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const consumer = await consume(() => seen.push(store.getStore()), {
      around: [(next, { id }) => store.run(id, next)],
    });
    await createProducer(broker, queue).send('x', { id: 'm-1' });
    await eventually(() => consumer.counts.handled === 1);
    expect(seen).toEqual(['m-1']);
  });

  test('next can be called once', async () => {
    let calls = 0;
    const errors: unknown[] = [];
    const consumer = await consume(() => calls++, {
      around: [
        async (next) => {
          const first = await next();
          await next().catch((error) => errors.push(error));
          return first;
        },
      ],
    });
    await createProducer(broker, queue).send('x');
    await eventually(() => consumer.counts.handled === 1);
    expect(calls).toBe(1);
    expect(errors).toMatchObject([{ code: 'INVALID_OPTION' }]);
  });

  test('a batch is one call, with its messages', async () => {
    const said: string[] = [];
    const consumer = createBatchConsumer(broker, queue, () => void said.push('work'), {
      size: 2,
      waitMs: 5000,
      around: [
        saying(said, 'outer'),
        (next, { batch, queue: name }) => {
          said.push(`${name}: ${batch.map(({ value }) => value)}`);
          return next();
        },
      ],
    });
    await consumer.start();
    await createProducer(broker, queue).sendMany(['a', 'b']);
    await eventually(() => consumer.counts.handled === 2);
    await consumer.stop();
    expect(said).toEqual(['outer begins', 'orders: a,b', 'work', 'outer ends']);
  });
});

describe('around a send', () => {
  test('functions add headers, to each message of every way to send', async () => {
    const received: unknown[] = [];
    await consume((value, { headers }) => received.push([value, headers.tenant]), {});
    const producer = createProducer(broker, queue, { around: [tenant] });
    await producer.send('a');
    await producer.sendMany(['b', 'c']);
    await producer.trySend('d');
    await eventually(() => received.length === 4);
    expect(received).toEqual(['a', 'b', 'c', 'd'].map((value) => [value, 'mill']));
  });

  test('a publisher and a requester have them as well', async () => {
    const topic = defineTopic('shop', { placed: z.string() });
    const seen: unknown[] = [];
    const consumer = createConsumer(
      broker,
      defineSubscription(topic, 'billing', { to: ['placed'] }),
      (_, context) => seen.push(context.headers.tenant),
    );
    await consumer.start();
    const { routed } = await createPublisher(broker, topic, { around: [tenant] }).publish('placed', 'x');
    await eventually(() => seen.length === 1);
    expect([routed, ...seen]).toEqual([true, 'mill']);
    await consumer.stop();
    await consume((_, { headers }) => headers.tenant, {});
    const replies: unknown[] = [];
    const requester = createRequester(broker, queue, {
      reply: z.string(),
      around: [
        tenant,
        async (next) => {
          const reply = await next();
          replies.push(reply);
          return reply;
        },
      ],
    });
    expect(await requester.request('x')).toBe('mill');
    expect(replies).toEqual(['mill']);
    await requester.close();
  });

  test('whatever a function makes of it, a send resolves only if its message is stored', async () => {
    const swallow: Around<SendContext> = (next) => next().catch(() => undefined as never);
    const never: Around<SendContext> = async () => undefined as never;
    const existing = defineQueue('nowhere', z.string(), { declare: 'existing' });
    const producer = createProducer(broker, existing, { around: [swallow] });
    await rejection(producer.send('x'), 'QUEUE_MISSING', 'UNROUTABLE');
    const error = await rejection(createProducer(broker, queue, { around: [never] }).send('x'), 'ABORTED');
    expect(error.message).toContain('nothing was stored');
    const late: Around<SendContext> = async (next) => {
      await next();
      throw new Error('after all');
    };
    await expect(createProducer(broker, queue, { around: [late] }).send('x')).rejects.toThrow('after all');
  });

  test('a function that never ends is ended with the send, and can store nothing any more', async () => {
    let late = async (): Promise<unknown> => undefined;
    const stalled: Around<SendContext> = (next) => {
      late = next;
      return new Promise(() => {});
    };
    const producer = createProducer(broker, queue, { around: [stalled] });
    const error = await rejection(producer.send('x', { timeoutMs: 20 }), 'TIMEOUT');
    expect(error.message).toContain("the 'around' functions: not done within 20 ms");
    await rejection(late(), 'ABORTED');
    const aborting = new AbortController();
    const sending = producer.send('x', { signal: aborting.signal });
    aborting.abort();
    await rejection(sending, 'ABORTED');
    await rejection(producer.send('x', { signal: AbortSignal.abort() }), 'ABORTED');
    await rejection(producer.sendMany(['x', 'y'], { timeoutMs: 20 }), 'TIMEOUT');
    await rejection(broker.inspect(queue.name), 'QUEUE_MISSING');
    const after: Around<SendContext> = async (next) => {
      await next();
      return new Promise(() => {});
    };
    await createProducer(broker, queue, { around: [after] }).send('stored', { timeoutMs: 500 });
    expect(await broker.inspect(queue.name)).toMatchObject({ ready: 1 });
  });

  test('functions or a schema that never end are ended with the request', async () => {
    await consume((value) => value, {});
    const never = () => new Promise<never>(() => {});
    const ask = (reply: z.ZodType, around: Around<SendContext>[] = []) => {
      const requester = createRequester(broker, queue, { reply, around });
      onTestFinished(() => requester.close());
      return requester.request('x', { timeoutMs: 300 });
    };
    await rejection(ask(z.string(), [never]), 'TIMEOUT');
    await rejection(ask(z.string(), [async (next) => [await next(), await never()] as never]), 'UNCONFIRMED');
    const endless = z.string().refine(never);
    await rejection(ask(endless), 'UNCONFIRMED');
    expect(await ask(z.string())).toBe('x');
  });

  test("a function can't write the history of a message", async () => {
    const forging: Around<SendContext> = (next, { headers }) => {
      headers['x-millrace-attempt'] = '7';
      return next();
    };
    const sending = createProducer(broker, queue, { around: [forging] }).send('x');
    const error = await rejection(sending, 'INVALID_MESSAGE');
    expect(error.message).toContain('"x-millrace-attempt"');
    const requester = createRequester(broker, queue, { reply: z.string(), around: [forging] });
    await rejection(requester.request('x'), 'INVALID_MESSAGE');
    await requester.close();
  });

  test('a failure that a function does not await ends no process', async () => {
    const rejections: unknown[] = [];
    const note = (reason: unknown) => rejections.push(reason);
    process.on('unhandledRejection', note);
    onTestFinished(() => void process.off('unhandledRejection', note));
    const floating: Around<unknown> = async (next) => {
      void next();
      throw new Error('did not wait');
    };
    const existing = defineQueue('nowhere', z.string(), { declare: 'existing' });
    const sending = createProducer(broker, existing, { around: [floating] }).send('x');
    await expect(sending).rejects.toThrow('did not wait');
    const consumer = await consume(() => Promise.reject(new Error('no')), {
      around: [floating],
      retry: { delaysMs: [] },
    });
    await createProducer(broker, queue).send('x');
    await eventually(() => consumer.counts.deadLettered === 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(rejections).toEqual([]);
  });

  test('the body is as it was when it was sent', async () => {
    const bytes = defineQueue('bytes', z.instanceof(Uint8Array), { codec: 'bytes' });
    const slow: Around<SendContext> = async (next) => {
      await new Promise((resolve) => setImmediate(resolve));
      return next();
    };
    const buffer = new Uint8Array([1, 2, 3]);
    const sending = createProducer(broker, bytes, { around: [slow] }).send(buffer);
    buffer.fill(0);
    await sending;
    const received: number[][] = [];
    const consumer = createConsumer(broker, bytes, (value) => received.push([...value]));
    await consumer.start();
    await eventually(() => received.length === 1);
    await consumer.stop();
    expect(received).toEqual([[1, 2, 3]]);
  });

  test('anything but a list of functions is refused', () => {
    const around = [5] as unknown as [];
    expect(() => createProducer(broker, queue, { around })).toThrow('around: expected a list of functions');
    expect(() => createConsumer(broker, queue, () => {}, { around })).toThrow('around: expected');
    expect(() => createBatchConsumer(broker, queue, () => {}, { around })).toThrow('around: expected');
    expect(() => createRequester(broker, queue, { reply: z.string(), around })).toThrow('around: expected');
    expect(() => createPublisher(broker, defineTopic('t', { a: z.string() }), { around })).toThrow(
      'around: exp',
    );
  });
});
