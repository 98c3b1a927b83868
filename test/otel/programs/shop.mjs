// An order on its way from a request over two queues to a third, and to a handler in a thread. Arguments: the address of a
// broker, a prefix for names, and how handlers refer to senders.

import { deadLetters } from '../../../dist/dead-letters/dead-letters.js';
import {
  connect,
  createBatchConsumer,
  createConsumer,
  createProducer,
  createPublisher,
  createRequester,
  createScheduler,
  defineQueue,
  defineSchedule,
  defineSubscription,
  defineTopic,
} from '../../../dist/index.js';
import { instrument } from '../../../dist/otel/index.js';
import { api, setUp } from './sdk.mjs';

const [address, prefix, links = 'parent'] = process.argv.slice(2);
const provider = setUp('shop');
const end = instrument({ tracerProvider: provider, links });
const tracer = api.trace.getTracer('app');

const any = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
const queue = (name) => defineQueue(`${prefix}-${name}`, any);
const [orders, bills, parcels, letters, quotes, reports] = [
  'orders',
  'bills',
  'parcels',
  'letters',
  'quotes',
  'reports',
].map(queue);
const shop = defineTopic(`${prefix}-shop`, { 'order.placed': any });
const nightly = defineSchedule(`${prefix}-nightly`, { everyMs: 86_400_000, send: [reports, 'R-1'] });

const broker = await connect(address, { observe: () => {} });
const observe = () => {};
const retry = { delaysMs: [10] };
const toBills = createProducer(broker, bills);
const toParcels = createProducer(broker, parcels);
const toLetters = createProducer(broker, letters);
const consumers = [
  createConsumer(broker, orders, async (order) => void (await toBills.send(order)), { observe, retry }),
  createConsumer(
    broker,
    bills,
    async (order, { attempt }) => {
      if (attempt === 1) throw new TypeError('no ink');
      await new Promise((resolve) => setTimeout(resolve, 5));
      await toParcels.sendMany([order]);
    },
    { observe, retry },
  ),
  createConsumer(
    broker,
    parcels,
    { module: new URL('thread.mjs', import.meta.url), threads: 1 },
    { observe },
  ),
];
let fails = true;
consumers.push(
  createConsumer(
    broker,
    letters,
    () => {
      if (fails) throw new Error('no stamp');
    },
    { observe, retry: { delaysMs: [] } },
  ),
);
const others = [defineSubscription(shop, 'mail', { to: ['order.*'] }), quotes, reports].map((source) =>
  createConsumer(broker, source, () => 'yes', { observe }),
);
for (const consumer of [...consumers, ...others]) await consumer.start();

const span = tracer.startSpan('GET /order');
await api.context.with(api.trace.setSpan(api.context.active(), span), async () => {
  await createProducer(broker, orders).send('A-1', { id: 'm-1' });
  await toLetters.send('B-1');
  await createPublisher(broker, shop).publish('order.placed', 'D-1');
  const requester = createRequester(broker, quotes, { reply: any });
  await requester.request('E-1');
  await requester.close();
  await createScheduler(broker, [nightly]).runNow(nightly.name);
  // What its sender has set stays.
  await toLetters.send('C-1', {
    headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
  });
});
span.end();

const until = async (isOver) => {
  while (!isOver()) await new Promise((resolve) => setTimeout(resolve, 10));
};
await until(() => consumers[2].counts.handled >= 1 && consumers[3].counts.deadLettered >= 2);
fails = false;
await deadLetters(broker, letters).replay();
await until(() => consumers[3].counts.handled >= 2);
await until(() => others.every(({ counts }) => counts.handled === 1));

const boxes = queue('boxes');
await createProducer(broker, boxes).sendMany(['a', 'b']);
const packer = createBatchConsumer(broker, boxes, () => void tracer.startSpan('in a batch').end(), {
  observe,
});
await packer.start();
await until(() => packer.counts.handled >= 2);
await packer.stop();

for (const consumer of [...consumers, ...others]) await consumer.stop();
await broker.close();
end();
await provider.shutdown();
