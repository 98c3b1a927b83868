// Sends messages and handles some of them, and keeps a ledger: a line `S id` after each send that resolved, `T id` before
// each message that came. Usage: FOLDER DURABILITY ROUNDS
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openDiskBroker } from '../../../../dist/local-queue/disk/broker.js';

const [folder, durability, rounds] = process.argv.slice(2);
const ledger = openSync(join(folder, 'ledger'), 'a');
const to = { exchange: '', routingKey: 'ledger' };
const note = (line) => writeSync(ledger, `${line}\n`);

const broker = await openDiskBroker(folder, { durability });
async function send(id) {
  await broker.publish(to, { id, contentType: '', headers: {}, body: `${id} `.repeat(100) });
  note(`S ${id}`);
}
for (let round = 0; round < Number(rounds); round++) {
  await Promise.all(Array.from({ length: 1 + (round % 7) }, (_, index) => send(`${round}/${index}`)));
  if (durability === 'commit' || round % 5 !== 4) continue;
  const { promise, resolve } = deferred();
  let count = 0;
  const subscription = await broker.subscribe('ledger', { prefetch: 3 }, (delivery) => {
    note(`T ${delivery.message.id}`);
    if (++count % 2 === 0) delivery.ack();
    if (count === 4) resolve();
  });
  await promise;
  await subscription.close();
}
// As at a power failure: nothing is put in order.
process.kill(process.pid, 'SIGKILL');

function deferred() {
  let resolve;
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
