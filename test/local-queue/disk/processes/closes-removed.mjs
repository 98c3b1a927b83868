/**
 * Has its files taken away, and closes its broker. Nothing else keeps the process alive.
 * Usage: FOLDER
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { connect, createProducer, defineQueue } from 'millrace';
import { z } from 'zod';

const [folder] = process.argv.slice(2);
const broker = await connect(`local:${folder}`);
const producer = createProducer(broker, defineQueue('numbers', z.number()));
await producer.send(0);
rmSync(join(folder, 'queue.db'));
/** @type {unknown} */
let error;
while (error === undefined) {
  await producer.send(1).catch((thrown) => {
    error = thrown;
  });
}
console.log(broker.state === 'closed' ? 'STORAGE_ERROR' : error);
await broker.close();
console.log('closed');
