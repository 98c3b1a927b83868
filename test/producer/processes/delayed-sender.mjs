/** Parks messages, writes their ids once they are stored, and hangs. */
import { connect, createProducer, defineQueue } from 'millrace';
import { z } from 'zod';

const [address, name, delayMs] = process.argv.slice(2);
const broker = await connect(address);
const producer = createProducer(broker, defineQueue(name, z.string()));
for (let index = 0; ; index++) {
  const { id } = await producer.send(`m${index}`, { delayMs: Number(delayMs) });
  console.log(id);
}
