/** Owns the tickets, in a process of its own, and serves requests: one order at a time for each event. */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { connect, createConsumer } from 'millrace';
import { BoxOffice, EVENTS, ordersIn, TICKETS_EACH } from './box-office.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:./tickets-data' },
    prefix: { type: 'string', default: 'tickets' },
  },
});
const broker = await connect(values.url);
const office = new BoxOffice();
const consumer = createConsumer(broker, ordersIn(values.prefix), (order) => office.sell(order), {
  concurrency: EVENTS.length,
  key: (order) => order.events,
});
await consumer.start();
process.send?.('open');

await once(process, process.connected ? 'message' : 'SIGINT');
await consumer.stop();
process.send?.(EVENTS.map((event) => `${event} ${office.sold.get(event)}/${TICKETS_EACH}`).join(', '));
await broker.close();
if (process.connected) process.disconnect();
