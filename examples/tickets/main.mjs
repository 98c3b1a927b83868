/** A hundred buyers and few tickets. Who reads, waits and then writes sells the last one twice, unless he is alone. */
import { setTimeout as delay } from 'node:timers/promises';
import { connect, createConsumer, createRequester, defineQueue } from 'millrace';
import { z } from 'zod';

const EVENTS = ['opera', 'circus', 'match', 'lecture'];
const TICKETS_EACH = 10;

/** An order is for one event, or for several of which the buyer wants all or none. */
const orders = defineQueue('orders', z.object({ events: z.array(z.string()) }), { deadLetter: false });

const buyers = Array.from({ length: 100 }, (_, buyer) => {
  const event = EVENTS[buyer % EVENTS.length];
  return { events: buyer % 5 === 0 ? [event, EVENTS[(buyer + 1) % EVENTS.length]] : [event] };
});

/** Stands for a database: each access takes time, and between two of them others come. */
function boxOffice() {
  const left = new Map(EVENTS.map((event) => [event, TICKETS_EACH]));
  const sold = new Map(EVENTS.map((event) => [event, 0]));
  const report = { atOnce: 0, mostAtOnce: 0, sold };

  async function sell({ events }) {
    report.mostAtOnce = Math.max(report.mostAtOnce, ++report.atOnce);
    const seen = events.map((event) => left.get(event));
    await delay(2); // the card is charged meanwhile
    const available = seen.every((count) => count > 0);
    for (const [index, event] of events.entries()) {
      if (!available) break;
      left.set(event, seen[index] - 1);
      sold.set(event, sold.get(event) + 1);
    }
    report.atOnce--;
    return available;
  }
  return { sell, report };
}

async function run(title, options) {
  const { sell, report } = boxOffice();
  const broker = await connect('local:');
  const consumer = createConsumer(broker, orders, sell, { ...options, retry: { delaysMs: [] } });
  await consumer.start();

  const counter = createRequester(broker, orders, { reply: z.boolean() });
  const answers = await Promise.all(buyers.map((order) => counter.request(order)));

  await counter.close();
  await consumer.stop();
  await broker.close();
  const sold = EVENTS.map((event) => `${event} ${report.sold.get(event)}/${TICKETS_EACH}`).join(', ');
  const happy = answers.filter(Boolean).length;
  console.log(`${title}: ${sold}; ${happy} buyers happy, at most ${report.mostAtOnce} served at once`);
}

await run('all at once', { concurrency: 100 });
await run('one at a time', { concurrency: 1 });
await run('one at a time for each event', { concurrency: 100, key: (order) => order.events });
