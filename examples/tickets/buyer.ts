/** Requests several tickets for every event from the process that owns them. */
import { parseArgs } from 'node:util';
import { connect, createRequester } from 'millrace';
import { z } from 'zod';
import { EVENTS, ordersIn } from './box-office.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:./tickets-data' },
    prefix: { type: 'string', default: 'tickets' },
  },
});
const broker = await connect(values.url);
const counter = createRequester(broker, ordersIn(values.prefix), { reply: z.boolean() });

const wishes = [1, 2, 3, 4, 5].flatMap(() => EVENTS.map((event) => ({ events: [event] })));
const answers = await Promise.all(wishes.map((order) => counter.request(order)));

process.send?.(answers.filter(Boolean).length);
await counter.close();
await broker.close();
if (process.connected) process.disconnect();
