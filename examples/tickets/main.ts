/**
 * Many buyers and few tickets. Code that reads, waits and then writes sells the last one twice, unless it has exclusive
 * access. First in one process; then the buyers are processes, and one process owns the tickets and serves requests.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type ConsumerOptions, connect, createConsumer, createRequester } from 'millrace';
import { z } from 'zod';
import { startProgram } from '../start-program.ts';
import { BoxOffice, EVENTS, type Order, ordersIn, TICKETS_EACH } from './box-office.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u' },
    prefix: { type: 'string', default: 'tickets' },
  },
});
const BUYERS = 4;
const orders = ordersIn(values.prefix);

/** Every fifth buyer wants tickets for two events, or for none. */
const wishes = Array.from({ length: 100 }, (_, buyer): Order => {
  const event = EVENTS[buyer % EVENTS.length] as string;
  return { events: buyer % 5 === 0 ? [event, EVENTS[(buyer + 1) % EVENTS.length] as string] : [event] };
});

async function inOneProcess(title: string, options: ConsumerOptions<Order>): Promise<void> {
  const office = new BoxOffice();
  const broker = await connect('local:');
  const consumer = createConsumer(broker, orders, (order) => office.sell(order), options);
  await consumer.start();

  const counter = createRequester(broker, orders, { reply: z.boolean() });
  const answers = await Promise.all(wishes.map((order) => counter.request(order)));

  await counter.close();
  await consumer.stop();
  await broker.close();
  const sold = EVENTS.map((event) => `${event} ${office.sold.get(event)}/${TICKETS_EACH}`).join(', ');
  const happy = answers.filter(Boolean).length;
  console.log(`${title}: ${sold}; ${happy} buyers happy, at most ${office.mostAtOnce} served at once`);
}

/** The box office is one process, the buyers are others. Only the box office ever touches the tickets. */
async function overProcesses(): Promise<void> {
  const folder = values.url === undefined ? await mkdtemp(join(tmpdir(), 'tickets-')) : undefined;
  const address = ['-u', values.url ?? `local:${folder}`, '--prefix', values.prefix];
  const office = startProgram(import.meta.url, './box-office-process', address);
  await once(office, 'message');

  const buyers = Array.from({ length: BUYERS }, () => startProgram(import.meta.url, './buyer', address));
  const happy = await Promise.all(buyers.map(async (buyer) => Number((await once(buyer, 'message'))[0])));

  office.send('close');
  const [sold] = await once(office, 'message');
  await once(office, 'exit');
  const all = happy.reduce((sum, count) => sum + count, 0);
  console.log(`${BUYERS} processes ask the one that owns the tickets: ${sold}; ${all} buyers happy`);
  if (folder !== undefined) await rm(folder, { recursive: true });
}

await inOneProcess('all at once', { concurrency: 100 });
await inOneProcess('one at a time', { concurrency: 1 });
await inOneProcess('one at a time for each event', { concurrency: 100, key: (order) => order.events });
await overProcesses();
