// Consumes until it is killed, or told to stop: by SIGTERM, or by a line on standard input. Tells on standard output when it is
// ready, `begin ID` for each handler that begins, `end ID ATTEMPT REDELIVERED RESENT` before each acknowledgement, and
// how far it is with stopping.
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { connect, createConsumer, defineQueue } from '../../../dist/index.js';

// Blocks while the reader is slow: what was told before the process is killed arrives. `process.stdout` would keep it back
// in this process then, and a message that was acknowledged meanwhile would be missing in the ledger.
const tell = (line) => writeSync(1, `${line}\n`);
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
