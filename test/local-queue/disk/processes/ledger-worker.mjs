// Handles messages until it is killed, or told to end by a line on standard input, and keeps a ledger: a line
// `H id redelivered` before each is acknowledged.
import { openSync, writeSync } from 'node:fs';
import { openDiskBroker } from '../../../../dist/local-queue/disk/broker.js';

const [folder, ledger, thread, leaseMs] = process.argv.slice(2);
const file = openSync(ledger, 'a');
const broker = await openDiskBroker(
  folder,
  { leaseMs: Number(leaseMs) },
  thread ? { thread: new URL(thread) } : {},
);

const subscription = await broker.subscribe('ledger', { prefetch: 50 }, (delivery) => {
  writeSync(file, `H ${delivery.message.id} ${delivery.redelivered}\n`);
  setImmediate(() => delivery.ack());
});
process.stdin.once('data', async () => {
  await subscription.cancel();
  await broker.close();
  process.exit();
});
process.stdin.unref();
