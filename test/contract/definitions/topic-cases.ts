import { expect } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { receive } from '../../../src/consumer/receive.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { defineExchange, defineRoute } from '../../../src/exchange.js';
import { createProducer } from '../../../src/producer/producer.js';
import { createPublisher } from '../../../src/topics/publisher.js';
import { defineSubscription } from '../../../src/topics/subscription.js';
import { defineTopic, type TopicOptions } from '../../../src/topics/topic.js';
import { EventLog } from '../../support/event-log.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { type ContractContext, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

function shopOf(t: ContractContext, options?: TopicOptions) {
  return defineTopic(
    t.queueName(),
    {
      'order.placed': z.object({ id: z.string(), total: z.number() }),
      'order.cancelled': z.object({ id: z.string(), why: z.string() }),
      'customer.new': z.object({ name: z.string() }),
    },
    options,
  );
}

/** Queue options of the subject. */
function options(t: ContractContext) {
  const { queueType: type, delayedRetry } = t.subject;
  return { type, delayedRetry };
}

/** Runs `act`, and stops the consumers, whatever comes of it. */
async function running(
  consumers: readonly { start(): Promise<void>; stop(): Promise<unknown> }[],
  act: () => Promise<void>,
): Promise<void> {
  try {
    await Promise.all(consumers.map((consumer) => consumer.start()));
    await act();
  } finally {
    await Promise.all(consumers.map((consumer) => consumer.stop()));
  }
}

export const topicCases: Cases = {
  'each subscription gets a copy of its events, handled by the handler of the event': async (t) => {
    const shop = shopOf(t);
    const billing = defineSubscription(shop, 'billing', { to: ['order.*'], ...options(t) });
    const mail = defineSubscription(shop, 'mail', { to: ['order.placed', 'customer.#'], ...options(t) });
    const seen: string[] = [];
    const consumers = [
      createConsumer(t.broker, billing, {
        handlers: {
          'order.placed': ({ id, total }, { routingKey }) => seen.push(`bill ${id} ${total} ${routingKey}`),
          'order.cancelled': ({ id, why }) => seen.push(`cancel ${id} ${why}`),
        },
      }),
      createConsumer(t.broker, mail, {
        handlers: {
          'order.placed': ({ id }, { exchange }) => seen.push(`mail ${id} ${exchange === shop.name}`),
          'customer.new': ({ name }) => seen.push(`welcome ${name}`),
        },
      }),
    ];
    await running(consumers, async () => {
      const publisher = createPublisher(t.broker, shop);
      const sent = await publisher.publish('order.placed', { id: 'A', total: 2 }, { id: 'my id' });
      expect(sent).toEqual({ id: 'my id', routed: true });
      await publisher.publish('customer.new', { name: 'Ada' });
      await publisher.publish('order.cancelled', { id: 'A', why: 'dear' });
      await eventually(() => seen.length === 4);
    });
    expect(seen.toSorted()).toEqual(['bill A 2 order.placed', 'cancel A dear', 'mail A true', 'welcome Ada']);
  },

  'what no subscription takes is dropped and told, an error, or kept, as the topic says': async (t) => {
    const event = { name: 'Ada' };
    const ignoring = createPublisher(t.broker, shopOf(t));
    expect(await ignoring.publish('customer.new', event)).toMatchObject({ routed: false });
    const strict = createPublisher(t.broker, shopOf(t, { unrouted: 'error' }));
    await rejection(strict.publish('customer.new', event), 'UNROUTABLE');
    const shop = shopOf(t, { unrouted: 'keep' });
    const orders = defineSubscription(shop, 'orders', { to: ['order.*'], ...options(t) });
    await t.broker.declare(orders.spec);
    const keeping = createPublisher(t.broker, shop);
    expect(await keeping.publish('customer.new', event)).toMatchObject({ routed: true });
    await keeping.publish('order.placed', { id: 'A', total: 1 });
    await t.untilCounted(`${shop.name}.unrouted`, { ready: 1 });
    await t.untilCounted(orders.name, { ready: 1 });
    const kept = await (await t.inbox(`${shop.name}.unrouted`)).next();
    expect(kept.message.origin).toEqual({ exchange: shop.name, routingKey: 'customer.new' });
    kept.ack();
  },

  'a topic gets or loses what it keeps once its exchange is removed, and loses no copy': async (t) => {
    const event = { id: 'A', total: 1 };
    const shop = shopOf(t);
    const orders = defineSubscription(shop, 'orders', { to: ['order.placed'], ...options(t) });
    await t.broker.declare(orders.spec);
    await createPublisher(t.broker, shop).publish('order.placed', event);
    const events = { 'order.placed': z.unknown(), 'customer.new': z.unknown() };
    const kept = defineTopic(shop.name, events, { unrouted: 'keep' });
    const keptOrders = defineSubscription(kept, 'orders', { to: ['order.placed'], ...options(t) });
    const keeping = createPublisher(t.broker, kept);
    await rejection(keeping.publish('customer.new', 1), 'QUEUE_MISMATCH');

    await t.broker.removeExchange(shop.name);
    expect(await keeping.publish('customer.new', 1)).toMatchObject({ routed: true });
    await t.untilCounted(`${shop.name}.unrouted`, { ready: 1 });
    await t.broker.declare(keptOrders.spec);
    expect(await keeping.publish('order.placed', event)).toMatchObject({ routed: true });
    await t.untilCounted(orders.name, { ready: 2 });

    await t.broker.removeExchange(shop.name);
    await t.broker.declare(orders.spec);
    const ignoring = createPublisher(t.broker, shop);
    expect(await ignoring.publish('customer.new', { name: 'Ada' })).toMatchObject({ routed: false });
    expect(await ignoring.publish('order.placed', event)).toMatchObject({ routed: true });
    await t.untilCounted(orders.name, { ready: 3 });
  },

  'events of a topic that keeps them are kept again when its exchange or its queue was removed': async (
    t,
  ) => {
    const shop = shopOf(t, { unrouted: 'keep' });
    const publisher = createPublisher(t.broker, shop);
    const event = { name: 'Ada' };
    const [, other = t.broker] = await t.connections(2);
    await publisher.publish('customer.new', event);
    await other.removeExchange(shop.name);
    expect(await publisher.publish('customer.new', event)).toMatchObject({ routed: true });
    await t.untilCounted(`${shop.name}.unrouted`, { ready: 2 });
    await other.remove(`${shop.name}.unrouted`);
    expect(await publisher.publish('customer.new', event)).toMatchObject({ routed: true });
    await t.untilCounted(`${shop.name}.unrouted`, { ready: 1 });
    await other.removeExchange(`${shop.name}.unrouted`);
    expect(await publisher.publish('customer.new', event)).toMatchObject({ routed: true });
    await t.untilCounted(`${shop.name}.unrouted`, { ready: 2 });
  },

  'events of a topic that keeps them are kept again when its exchange and its queue were removed': async (
    t,
  ) => {
    const shop = shopOf(t, { unrouted: 'keep' });
    const kept = `${shop.name}.unrouted`;
    const publisher = createPublisher(t.broker, shop);
    const event = { name: 'Ada' };
    const [, other = t.broker] = await t.connections(2);
    await publisher.publish('customer.new', event);
    await other.removeExchange(shop.name);
    await other.remove(kept);
    expect(await publisher.publish('customer.new', event)).toMatchObject({ routed: true });
    await t.untilCounted(kept, { ready: 1 });
    await other.removeExchange(kept);
    await other.remove(kept);
    await other.removeExchange(shop.name);
    expect(await publisher.publish('customer.new', event)).toMatchObject({ routed: true });
    await t.untilCounted(kept, { ready: 1 });
    // The publisher's own process removes one, and another process the other.
    await t.broker.removeExchange(shop.name);
    await other.remove(kept);
    expect(await publisher.publish('customer.new', event)).toMatchObject({ routed: true });
    await t.untilCounted(kept, { ready: 1 });
  },

  'the name of the queue for what is not routed is no name for a subscription': async (t) => {
    for (const unrouted of ['ignore', 'error', 'keep'] as const) {
      const shop = shopOf(t, { unrouted });
      expect(() => defineSubscription(shop, 'unrouted', { to: ['order.*'] })).toThrow(
        /'.*\.unrouted' is reserved for events without a subscription/,
      );
    }
  },

  'a topic that was declared with other options is QUEUE_MISMATCH, and leaves nothing behind': async (t) => {
    const shop = shopOf(t);
    const events = { 'order.placed': z.object({ id: z.string(), total: z.number() }) };
    const orders = defineSubscription(shop, 'orders', { to: ['order.*'], ...options(t) });
    await t.broker.declare(orders.spec);
    const kept = defineTopic(shop.name, events, { unrouted: 'keep' });
    for (const broker of await t.connections(2)) {
      const event = { id: 'A', total: 1 };
      const error = await rejection(
        createPublisher(broker, kept).publish('order.placed', event),
        'QUEUE_MISMATCH',
      );
      expect(error.message).toContain(shop.name);
      const billing = defineSubscription(kept, 'billing', { to: ['order.*'], ...options(t) });
      await rejection(broker.declare(billing.spec), 'QUEUE_MISMATCH');
      for (const name of [`${shop.name}.unrouted`, billing.name])
        await rejection(broker.inspect(name), 'QUEUE_MISSING');
      // What is not a property of the exchange is up to each publisher.
      const strict = createPublisher(broker, defineTopic(shop.name, events, { unrouted: 'error' }));
      expect(await strict.publish('order.placed', event)).toMatchObject({ routed: true });
    }
    await t.untilCounted(orders.name, { ready: 2 });
  },

  'an exchange that a stranger has declared as fanout is QUEUE_MISMATCH, or used as it is': async (t) => {
    const shop = shopOf(t);
    await t.broker.declareExchange(defineExchange(shop.name, { type: 'fanout' }).spec);
    const event = { id: 'A', total: 1 };
    const error = await rejection(
      createPublisher(t.broker, shop).publish('order.placed', event),
      'QUEUE_MISMATCH',
    );
    expect(error.message).toMatch(/fanout/);
    const existing = defineTopic(
      shop.name,
      { 'order.placed': z.object({ id: z.string(), total: z.number() }), 'customer.new': z.unknown() },
      { declare: 'existing' },
    );
    const customers = defineSubscription(existing, 'customers', { to: ['customer.*'], ...options(t) });
    await t.broker.declare(customers.spec);
    const publisher = createPublisher(t.broker, existing);
    expect(await publisher.publish('order.placed', event)).toMatchObject({ routed: true });
    await t.untilCounted(customers.name, { ready: 1 });
  },

  'subscriptions that come and go while events are published take nothing from one that stays': async (t) => {
    const shop = shopOf(t);
    const stays = defineSubscription(shop, 'stays', { to: ['order.#'], ...options(t) });
    const comes = defineSubscription(shop, 'comes', { to: ['#'], ...options(t) });
    await t.broker.declare(stays.spec);
    const publisher = createPublisher(t.broker, shop);
    let goesOn = true;
    const comingAndGoing = (async () => {
      while (goesOn) {
        await t.broker.declare(comes.spec);
        await t.broker.remove(comes.name);
        // In memory neither waits for the event loop, whose turn publishers need.
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const ids = Array.from({ length: 200 }, (_, index) => `${index}`);
    const confirmed: string[] = [];
    for (let first = 0; first < ids.length; first += 20) {
      const some = ids.slice(first, first + 20);
      const published = await Promise.allSettled(
        some.map((id) => publisher.publish('order.placed', { id, total: 1 }, { id })),
      );
      for (const [index, outcome] of published.entries()) {
        const id = some[index] as string;
        if (outcome.status === 'fulfilled') {
          expect(outcome.value).toEqual({ id, routed: true });
          confirmed.push(id);
        } else {
          // RabbitMQ may refuse an event for the queue that is being deleted; it is in the others then.
          expect(outcome.reason).toMatchObject({ code: 'UNCONFIRMED' });
        }
      }
    }
    goesOn = false;
    await comingAndGoing;
    const inbox = await t.inbox(stays.name);
    const received: string[] = [];
    while (confirmed.some((id) => !received.includes(id))) received.push(...(await inbox.ackNext(1)));
    expect(ids).toEqual(expect.arrayContaining(received));
    // RabbitMQ 3.10 may close the channel over a queue that is being deleted: what was not confirmed is sent again.
    if (t.broker.counts.resent === 0)
      expect(received.filter((id) => confirmed.includes(id))).toEqual(confirmed);
    expect(confirmed.length).toBeGreaterThan(0);
  },

  'publishMany that is aborted says how many events were published, and each subscription has those': async (
    t,
  ) => {
    const shop = shopOf(t);
    const queues = ['one', 'two'].map((name) =>
      defineSubscription(shop, name, { to: ['order.*'], ...options(t) }),
    );
    for (const { spec } of queues) await t.broker.declare(spec);
    const abort = new AbortController();
    async function* events() {
      for (let index = 0; index < 300; index++) {
        if (index === 150) abort.abort(new Error('enough'));
        yield ['order.placed', { id: `${index}`, total: index }] as const;
        await null;
      }
    }
    const publisher = createPublisher(t.broker, shop);
    const { signal } = abort;
    const { progress } = await rejection(publisher.publishMany(events(), { signal }), 'ABORTED');
    const { taken = 0, stored = 0 } = progress ?? {};
    expect(taken).toBeLessThanOrEqual(151);
    for (const { name } of queues) {
      await eventually(async () => (await t.broker.inspect(name)).ready >= stored);
      expect((await t.broker.inspect(name)).ready).toBeLessThanOrEqual(taken);
    }
    expect(await publisher.publish('order.placed', { id: 'next', total: 1 })).toMatchObject({ routed: true });
  },

  'an event or a value that the topic does not have is refused before any I/O': async (t) => {
    const shop = shopOf(t, { declare: 'existing' });
    const publisher = createPublisher(t.broker, shop);
    // Not `QUEUE_MISSING`: the broker is not asked.
    const unknown = await rejection(
      publisher.publish('order.plced' as 'order.placed', {} as never),
      'INVALID_MESSAGE',
    );
    expect(unknown.message).toContain('order.cancelled');
    await rejection(publisher.publish('toString' as 'order.placed', {} as never), 'INVALID_MESSAGE');
    // A list that turns into the name is not the name.
    const list = ['customer.new'] as unknown as 'customer.new';
    await rejection(publisher.publish(list, { name: 'Ada' }), 'INVALID_MESSAGE');
    await rejection(publisher.publish('order.placed', { id: 'A', total: 'x' as never }), 'INVALID_MESSAGE');
    const invalid = await rejection(
      publisher.publishMany([['order.placed', { id: 1 as never, total: 1 }]]),
      'INVALID_MESSAGE',
    );
    expect(invalid.message).toContain('publishMany stopped with 0 of the 1 values');
    const replyTo = { replyTo: 'me' } as object;
    await rejection(publisher.publish('customer.new', { name: 'Ada' }, replyTo), 'INVALID_OPTION');
    await rejection(publisher.publish('customer.new', { name: 'Ada' }), 'QUEUE_MISSING');
  },

  'many events are published in order, and those that were routed are counted': async (t) => {
    const shop = shopOf(t);
    const orders = defineSubscription(shop, 'orders', { to: ['order.placed'], ...options(t) });
    await t.broker.declare(orders.spec);
    const publisher = createPublisher(t.broker, shop);
    const result = await publisher.publishMany(
      Array.from({ length: 100 }, (_, index) =>
        index % 2 === 0
          ? (['order.placed', { id: String(index), total: index }] as const)
          : (['customer.new', { name: String(index) }] as const),
      ),
    );
    expect(result).toEqual({ published: 100, routed: 50 });
    const ids: string[] = [];
    for await (const received of receive(t.broker, orders)) {
      ids.push(received.value.id);
      expect([received.exchange, received.routingKey]).toEqual([shop.name, 'order.placed']);
      received.ack();
      if (ids.length === 50) break;
    }
    expect(ids).toEqual(Array.from({ length: 50 }, (_, index) => String(index * 2)));
  },

  'a failing subscription retries, buries and replays alone, and its handler always sees the event': async (
    t,
  ) => {
    const shop = shopOf(t);
    const failing = defineSubscription(shop, 'failing', { to: ['order.*'], ...options(t) });
    const healthy = defineSubscription(shop, 'healthy', { to: ['order.*'], ...options(t) });
    const log = new EventLog();
    const seen: string[] = [];
    let works = false;
    const failure = () => {
      if (!works) throw new Error('no printer');
    };
    const consumers = [
      createConsumer(
        t.broker,
        failing,
        {
          handlers: {
            'order.placed': ({ id }, { attempt, routingKey, exchange }) => {
              seen.push(`${id} ${attempt} ${routingKey} ${exchange === shop.name}`);
              failure();
            },
            'order.cancelled': failure,
          },
        },
        { retry: { delaysMs: [0, 20] }, observe: log.observe },
      ),
      createConsumer(t.broker, healthy, ({ id }) => {
        seen.push(`healthy ${id}`);
      }),
    ];
    await running(consumers, async () => {
      await createPublisher(t.broker, shop).publish('order.placed', { id: 'A', total: 2 });
      await log.until('dead-lettered', 1);
      await eventually(() => seen.includes('healthy A'));
      works = true;
      const letters = deadLetters(t.broker, failing);
      await t.untilCounted(`${failing.name}.dead`, { ready: 1 });
      expect((await letters.replay()).replayed).toBe(1);
      await log.until('handled', 1);
    });
    expect(seen.filter((each) => each !== 'healthy A')).toEqual([
      'A 1 order.placed true',
      'A 2 order.placed true',
      'A 3 order.placed true',
      'A 1 order.placed true',
    ]);
    expect(seen.filter((each) => each === 'healthy A')).toHaveLength(1);
    await t.untilCounted(healthy.name, { ready: 0 });
  },

  'what is no event of the subscription, or does not fit its schema, is a dead letter that says so': async (
    t,
  ) => {
    const shop = shopOf(t);
    const orders = defineSubscription(shop, 'orders', { to: ['order.placed'], ...options(t) });
    await t.broker.declare({
      ...orders.spec,
      bindings: [{ exchange: shop.exchange.spec, routingKey: '#', arguments: {} }],
    });
    const log = new EventLog();
    const consumer = createConsumer(t.broker, orders, () => {}, { observe: log.observe });
    await running([consumer], async () => {
      const body = JSON.stringify({ id: 'A', total: 'much' });
      for (const routingKey of ['order.cancelled', 'order.placed', 'else']) {
        const foreign = message({ id: routingKey, contentType: 'application/json', body });
        await t.broker.publish({ exchange: shop.name, routingKey }, foreign);
      }
      await log.until('dead-lettered', 3);
    });
    const errors = new Map(
      log.of('dead-lettered').map(({ id, failure }) => [id, `${failure.code}: ${failure.error}`]),
    );
    expect(errors.get('order.placed')).toMatch(/invalid: .*total/);
    expect(errors.get('order.cancelled')).toMatch(/invalid: .*"order.cancelled".*unbind/);
    expect(errors.get('else')).toMatch(/invalid: .*"else"/);
  },

  'each process gets a copy, as long as it consumes': async (t) => {
    const shop = shopOf(t);
    const seen: string[] = [];
    const consumers = ['one', 'two'].map((name) => {
      const subscription = defineSubscription(shop, { each: 'process', to: ['customer.*'] });
      return createConsumer(t.broker, subscription, {
        handlers: { 'customer.new': (customer) => seen.push(`${name} ${customer.name}`) },
      });
    });
    const publisher = createPublisher(t.broker, shop);
    await running(consumers, async () => {
      expect(await publisher.publish('customer.new', { name: 'Ada' })).toMatchObject({ routed: true });
      await eventually(() => seen.length === 2);
    });
    expect(seen.toSorted()).toEqual(['one Ada', 'two Ada']);
    await untilAsserted(async () => {
      const { routed } = await publisher.publish('customer.new', { name: 'Bob' });
      expect(routed).toBe(false);
    });
  },

  'a process retries its own copy of an event alone, and drops it after the last attempt': async (t) => {
    const shop = shopOf(t);
    const log = new EventLog();
    const seen: string[] = [];
    const subscribe = () => defineSubscription(shop, { each: 'process', to: ['customer.*'] });
    const consumers = [
      createConsumer(
        t.broker,
        subscribe(),
        {
          handlers: {
            'customer.new': ({ name }, { attempt, routingKey }) => {
              seen.push(`failing ${name} ${attempt} ${routingKey}`);
              throw new Error('no room');
            },
          },
        },
        { retry: { delaysMs: [20] }, observe: log.observe },
      ),
      createConsumer(t.broker, subscribe(), ({ name }) => seen.push(`other ${name}`)),
    ];
    await running(consumers, async () => {
      await createPublisher(t.broker, shop).publish('customer.new', { name: 'Ada' });
      await log.until('dead-lettered', 1);
      await eventually(() => seen.includes('other Ada'));
    });
    expect(seen.toSorted()).toEqual([
      'failing Ada 1 customer.new',
      'failing Ada 2 customer.new',
      'other Ada',
    ]);
  },

  'events of a subscription keep their order by key, and their priority': async (t) => {
    const shop = shopOf(t);
    const priorities = t.subject.queueType === 'classic' ? { maxPriority: 31 } : {};
    const orders = defineSubscription(shop, 'orders', { to: ['order.placed'], ...options(t), ...priorities });
    await t.broker.declare(orders.spec);
    const publisher = createPublisher(t.broker, shop);
    await publisher.publish('order.placed', { id: 'low', total: 1 }, { priority: 0 });
    await publisher.publish('order.placed', { id: 'high', total: 1 }, { priority: 9 });
    const seen: string[] = [];
    const consumer = createConsumer(
      t.broker,
      orders,
      { handlers: { 'order.placed': async ({ id }) => seen.push(id) } },
      { concurrency: 4, key: ({ total }) => String(total) },
    );
    await running([consumer], async () => {
      await eventually(() => seen.length === 2);
    });
    expect(seen).toEqual(['high', 'low']);
  },

  'a handler that is missing, or for no event, is refused, and so is a pattern without an event': async (
    t,
  ) => {
    const shop = shopOf(t);
    const orders = defineSubscription(shop, 'orders', { to: ['order.*'], ...options(t) });
    const nothing = () => {};
    const wrong: object[] = [
      { 'order.placed': nothing },
      { 'order.placed': nothing, 'order.cancelled': nothing, 'order.canceled': nothing },
      {},
    ];
    for (const handlers of wrong) {
      const creating = async () => createConsumer(t.broker, orders, { handlers } as never);
      expect((await rejection(creating(), 'INVALID_OPTION')).message).toContain('order.cancelled');
    }
    const defining = async (to: unknown) => defineSubscription(shop, 'x', { to } as never);
    for (const to of [['ordr.*'], [], 'order.*', [''], undefined])
      await rejection(defining(to), 'INVALID_OPTION');
    const named = async (event: string) => defineTopic('shop', { [event]: z.string() });
    for (const event of ['', 'a..b', '*', 'a.#', 'x'.repeat(256)])
      await rejection(named(event), 'INVALID_OPTION');
  },

  'nothing is sent to a subscription by name': async (t) => {
    const shop = shopOf(t);
    const orders = defineSubscription(shop, 'orders', { to: ['order.*'], ...options(t) });
    const producer = createProducer(t.broker, orders);
    const error = await rejection(producer.send({ id: 'A', total: 1 } as never), 'INVALID_MESSAGE');
    expect(error.message).toContain('createPublisher');
  },

  'a producer sends to an exchange, by a fixed key or one that is made of the value': async (t) => {
    const logs = defineExchange(t.queueName(), { type: 'direct' });
    const errors = t.define(z.object({ severity: z.string(), text: z.string() }), {
      bindings: [{ exchange: logs, routingKey: 'error' }],
    });
    const schema = z.object({ severity: z.string(), text: z.string() });
    const made = createProducer(
      t.broker,
      defineRoute(logs, schema, { routingKey: ({ severity }) => severity }),
    );
    await rejection(made.send({ severity: 'error', text: 'nobody listens' }), 'UNROUTABLE');
    await t.broker.declare(errors.spec);
    expect(await made.send({ severity: 'error', text: 'made' }, { id: 'made' })).toEqual({ id: 'made' });
    await rejection(made.send({ severity: 'info', text: 'none' }), 'UNROUTABLE');
    await rejection(made.send({ severity: 'x'.repeat(256), text: 'long' }), 'INVALID_MESSAGE');
    const fixed = createProducer(t.broker, defineRoute(logs, schema, { routingKey: 'error' }));
    await fixed.sendMany([{ severity: 'any', text: 'fixed' }]);
    const texts: string[] = [];
    for await (const received of receive(t.broker, errors)) {
      texts.push(`${received.value.text} ${received.routingKey}`);
      received.ack();
      if (texts.length === 2) break;
    }
    expect(texts).toEqual(['made error', 'fixed error']);
  },
};
