// Consumes until it is killed, or told to stop: by SIGTERM, or by a line on standard input. Tells on standard output when it is
// ready, `begin ID` for each handler that begins, `end ID ATTEMPT REDELIVERED RESENT` before each acknowledgement, and
// how far it is with stopping.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { connect, createConsumer, defineQueue } from '../../../dist/index.js';

// Written at once where it is a pipe: what was told before the process is killed arrives.
const tell = (line) => process.stdout.write(`${line}\n`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { address, queue, type, handlerMs, concurrency, prefetch, connectOptions } = JSON.parse(
  (await lines.next()).value,
);

const broker = await connect(address, {
  ...connectOptions,
  observe: (event) => {
    if (event.type !== 'connected') console.error(event);
  },
});
const grains = defineQueue(queue, z.object({ producer: z.number(), number: z.number() }), {
  type,
  declare: 'existing',
});
const handler = async (_, { id, attempt, redelivered, headers }) => {
  tell(`begin ${id}`);
  await delay(Math.random() * handlerMs);
  tell(`end ${id} ${attempt} ${redelivered} ${headers['x-millrace-resent'] !== undefined}`);
};
const consumer = createConsumer(broker, grains, handler, { concurrency, prefetch });
await consumer.start();
tell('ready');

await Promise.race([lines.next(), once(process, 'SIGTERM')]);
tell('stopping');
await consumer.stop();
tell('closing');
await broker.close();
tell('closed');
process.exit();
