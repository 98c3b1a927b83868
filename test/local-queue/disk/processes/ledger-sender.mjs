// Sends numbered messages until it has sent enough or is killed, and keeps a ledger: a line `I n` before the numbers
// up to n are tried, a line `S n` after each send that resolved.
import { openSync, writeSync } from 'node:fs';
import { openDiskBroker } from '../../../../dist/local-queue/disk/broker.js';

const [folder, name, ledger, count, thread, durability] = process.argv.slice(2);
const file = openSync(ledger, 'a');
const broker = await openDiskBroker(folder, { durability }, thread ? { thread: new URL(thread) } : {});

const WINDOW = 20;
let next = 0;
let intended = 0;
async function send() {
  while (next < Number(count)) {
    const number = next++;
    if (number >= intended) {
      intended = number + 100;
      writeSync(file, `I ${intended}\n`);
    }
    const message = {
      id: `${name}/${number}`,
      contentType: 'text/plain',
      headers: {},
      body: `grain ${number}`,
    };
    await broker.publish({ exchange: '', routingKey: 'ledger' }, message);
    writeSync(file, `S ${number}\n`);
  }
}
await Promise.all(Array.from({ length: WINDOW }, send));
await broker.close();
