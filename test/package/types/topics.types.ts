import { z } from 'zod';
import {
  type Broker,
  createConsumer,
  createProducer,
  createPublisher,
  createRequester,
  deadLetters,
  defineRoute,
  defineSubscription,
  defineTopic,
  receive,
} from '../../../src/index.js';
import type { Matching } from '../../../src/topics/matching.js';
import type { Equal, Expect } from './equal.js';

declare const broker: Broker;

const shop = defineTopic('shop', {
  'order.placed': z.object({ id: z.string(), total: z.number() }),
  'order.cancelled': z.object({ id: z.string(), why: z.string() }),
  'customer.new': z.object({ name: z.string(), since: z.coerce.date() }),
});

type Names = 'order.placed' | 'order.cancelled' | 'customer.new' | 'a' | 'a.b.c';
export type Cases = [
  Expect<Equal<Matching<'order.*', Names>, 'order.placed' | 'order.cancelled'>>,
  Expect<Equal<Matching<'order.placed', Names>, 'order.placed'>>,
  Expect<Equal<Matching<'#', Names>, Names>>,
  Expect<Equal<Matching<'*', Names>, 'a'>>,
  Expect<Equal<Matching<'a.#', Names>, 'a' | 'a.b.c'>>,
  Expect<Equal<Matching<'#.c', Names>, 'a.b.c'>>,
  Expect<Equal<Matching<'*.*', Names>, 'order.placed' | 'order.cancelled' | 'customer.new'>>,
  Expect<Equal<Matching<'a.*.*' | 'customer.#', Names>, 'a.b.c' | 'customer.new'>>,
  Expect<Equal<Matching<'#.b.#', Names>, 'a.b.c'>>,
  Expect<Equal<Matching<'order', Names>, never>>,
  Expect<Equal<Matching<'order*', Names>, never>>,
];

const publisher = createPublisher(broker, shop);
publisher.publish('order.placed', { id: 'A-1', total: 12.5 });
publisher.publish('order.placed', { id: 'A-1', total: 12.5 }, { priority: 9, timeoutMs: 100 });
publisher.publishMany([
  ['order.placed', { id: 'A-1', total: 1 }],
  ['order.cancelled', { id: 'A-1', why: 'too dear' }],
]);
publisher.publish('order.placed', { id: 'A-1', total: 1 }) satisfies Promise<{ id: string; routed: boolean }>;
// @ts-expect-error: no such event
publisher.publish('order.plced', { id: 'A-1', total: 12.5 });
// @ts-expect-error: another event's value
publisher.publish('order.placed', { id: 'A-1', why: 'too dear' });
// @ts-expect-error: no value
publisher.publish('order.placed');
// @ts-expect-error: a topic gives no answers
publisher.publish('order.placed', { id: 'A-1', total: 1 }, { replyTo: 'me' });
// @ts-expect-error: another event's value
publisher.publishMany([['order.placed', { id: 'A-1', why: 'too dear' }]]);

const billing = defineSubscription(shop, 'billing', { to: ['order.*'], deliveryLimit: 3 });
const all = defineSubscription(shop, 'all', { to: ['#'] });
const news = defineSubscription(shop, { each: 'process', to: ['customer.new'] });
defineSubscription(shop, 'two', { to: ['order.placed', 'customer.*'] });
const patterns: string[] = ['order.*'];
defineSubscription(shop, 'unknown to the compiler', { to: patterns });

// @ts-expect-error: no event matches
defineSubscription(shop, 'billing', { to: ['ordr.*'] });
// @ts-expect-error: one of them matches none
defineSubscription(shop, 'billing', { to: ['order.*', 'customer'] });
// @ts-expect-error: it would get nothing
defineSubscription(shop, 'billing', {});
// @ts-expect-error: no event matches
defineSubscription(shop, { each: 'process', to: ['order'] });
// @ts-expect-error: which events?
defineSubscription(shop, { each: 'process' });
// @ts-expect-error: the topic says how values are encoded
defineSubscription(shop, 'billing', { to: ['order.*'], codec: 'json' });

createConsumer(broker, billing, {
  handlers: {
    'order.placed': (order, { routingKey, exchange }) => {
      order satisfies { id: string; total: number };
      routingKey satisfies string;
      exchange satisfies string;
    },
    'order.cancelled': async ({ why }) => {
      why satisfies string;
    },
  },
});
createConsumer(
  broker,
  news,
  { handlers: { 'customer.new': ({ since }) => since.getTime() } },
  { concurrency: 4, retry: { delaysMs: [] } },
);
createConsumer(broker, all, (value) => {
  value satisfies { id: string; total: number } | { id: string; why: string } | { name: string; since: Date };
});
createConsumer(broker, billing, { module: new URL('file:///handler.js') });

createConsumer(broker, billing, {
  // @ts-expect-error: a handler is missing
  handlers: { 'order.placed': () => {} },
});
createConsumer(broker, billing, {
  handlers: {
    'order.placed': () => {},
    'order.cancelled': () => {},
    // @ts-expect-error: misspelt
    'order.canceled': () => {},
  },
});
createConsumer(broker, billing, {
  handlers: {
    // @ts-expect-error: another event's value
    'order.placed': ({ why }: { why: string }) => why,
    'order.cancelled': () => {},
  },
});

deadLetters(broker, billing);
receive(broker, billing);
// @ts-expect-error: nothing is sent to a subscription
createProducer(broker, billing).send({ id: 'A-1', total: 1 });
// @ts-expect-error: nor asked of it
createRequester(broker, billing, z.string()).request({ id: 'A-1', total: 1 });

const lines = defineRoute('logs', z.object({ severity: z.string() }), {
  routingKey: ({ severity }) => severity,
});
createProducer(broker, lines).send({ severity: 'error' });
// @ts-expect-error: does not fit the schema
createProducer(broker, lines).send({ severity: 1 });
// @ts-expect-error: a key is text
defineRoute('logs', z.object({ severity: z.number() }), { routingKey: ({ severity }) => severity });
