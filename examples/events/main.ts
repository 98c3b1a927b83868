/** A web shop: an order is published once, and mail, invoice and search each do their part. The invoice printer jams once. */
import { parseArgs } from 'node:util';
import { connect, createConsumer, createPublisher } from 'millrace';
import { shopOf } from './shop.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'shop' },
  },
});
const { shop, mail, invoice, search } = shopOf(values.prefix);
const broker = await connect(values.url);
const publisher = createPublisher(broker, shop);

let jams = 1;
const sold = new Map<string, number>();
const done = { mail: 0, invoice: 0, search: 0 };
const consumers = [
  createConsumer(broker, mail, {
    handlers: {
      'order.placed': ({ id, item }) => say('mail', `order ${id}: thank you, your ${item} is on its way`),
      'order.cancelled': ({ id, why }) => say('mail', `order ${id}: cancelled, ${why}`),
    },
  }),
  createConsumer(
    broker,
    invoice,
    {
      handlers: {
        'order.placed': ({ id, total }, { attempt, routingKey }) => {
          if (jams-- > 0) throw new Error('paper jam');
          say('invoice', `order ${id}: ${total} (${routingKey}, attempt ${attempt})`);
        },
      },
    },
    {
      retry: { delaysMs: [100] }, // of the invoice alone: nobody gets a second mail for it
      observe: (event) => {
        if (event.type === 'retried')
          console.log(`invoice: ${event.failure.error}, again in ${event.delayMs} ms`);
      },
    },
  ),
  createConsumer(broker, search, {
    handlers: {
      'item.changed': ({ item, price }) => say('search', `${item} costs ${price}`),
      'order.placed': ({ item }) => {
        sold.set(item, (sold.get(item) ?? 0) + 1);
        say('search', `${item} was sold ${sold.get(item)} times`);
      },
    },
  }),
];
await Promise.all(consumers.map((consumer) => consumer.start()));

await publisher.publish('item.changed', { item: 'grindstone', price: 40 });
await publisher.publish('order.placed', { id: 'A-1', item: 'grindstone', total: 40 });
await publisher.publish('order.placed', { id: 'A-2', item: 'grindstone', total: 40 });
const { routed } = await publisher.publish('order.cancelled', { id: 'A-2', why: 'too heavy' });
console.log(`the shop: 4 events published, the last one ${routed ? 'to somebody' : 'to nobody'}`);

while (done.mail < 3 || done.invoice < 2 || done.search < 3)
  await new Promise((resolve) => setTimeout(resolve, 20));
await Promise.all(consumers.map((consumer) => consumer.stop()));
const nobody = await publisher.publish('item.changed', { item: 'sieve', price: 5 });
console.log(`the shop: closed; what happens now waits for them: ${nobody.routed}`);
await broker.purge(search.name);
await broker.close();

function say(who: keyof typeof done, what: string): void {
  done[who]++;
  console.log(`${who}: ${what}`);
}
