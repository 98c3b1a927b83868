// Publishes the events that its ledger does not list as confirmed, always with the same ids, and adds a line for each
// that is, until it is done or killed.
import { openSync, readFileSync, writeSync } from 'node:fs';
import { connect, createPublisher, defineTopic } from '../../../dist/index.js';

const [address, name, file, count] = process.argv.slice(2);
const ledger = openSync(file, 'a');
const confirmed = new Set(readFileSync(file, 'utf8').split('\n'));
const missing = Array.from({ length: Number(count) }, (_, number) => `grain-${number}`)
  .filter((id) => !confirmed.has(id))
  .values();

const anything = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
const broker = await connect(address);
const publisher = createPublisher(broker, defineTopic(name, { grain: anything }, { unrouted: 'error' }));

async function publish() {
  for (const id of missing) {
    await publisher.publish('grain', { id }, { id });
    writeSync(ledger, `${id}\n`);
  }
}
await Promise.all(Array.from({ length: 20 }, publish));
await broker.close();
