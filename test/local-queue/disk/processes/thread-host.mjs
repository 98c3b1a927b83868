// Has threads send and handle, and terminates one of them at random again and again. Then compares what was sent with
// what was handled, and prints it as JSON. Goes on for the time given, and until enough has happened. Usage: FOLDER SECONDS
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { openDiskBroker } from '../../../../dist/local-queue/disk/broker.js';
import { defineQueue } from '../../../../dist/queue.js';

const [folder, seconds] = process.argv.slice(2);
const SENDERS = 2;
const WORKERS = 2;
/** Where threads start slower, they live longer: one that has not started yet neither sends nor handles. */
const LEAST_LONGEST_LIFE_MS = 300;
/** Without as many, a comparison shows little. */
const [LEAST_TERMINATED, LEAST_SENT] = [10, 100];

const [tried, sent, handled] = [new Set(), new Set(), new Map()];
const unmarked = [];
const failures = [];
const threads = new Set();
let terminated = 0;

const anything = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
const broker = await openDiskBroker(folder);
await broker.declare(defineQueue('ledger', anything, { deliveryLimit: 100_000 }).spec);

function record({ tried: begun = [], sent: confirmed = [], handled: id, redelivered }) {
  for (const each of begun) tried.add(each);
  for (const each of confirmed) sent.add(each);
  if (sent.size > 0) onFirstSent();
  if (id === undefined) return;
  const times = handled.get(id) ?? 0;
  if (times > 0 && !redelivered) unmarked.push(id);
  handled.set(id, times + 1);
}

let onFirstSent = () => {};
const firstSent = new Promise((resolve) => {
  onFirstSent = resolve;
});

let count = 0;
function start(role) {
  const name = `${role}-${++count}`;
  const thread = new Worker(new URL('./thread-actor.mjs', import.meta.url), {
    workerData: { folder, name, role },
  });
  thread.role = role;
  thread.on('message', record);
  thread.on('error', (error) => failures.push(`${name}: ${error.message}`));
  threads.add(thread);
}

const begin = performance.now();
for (let index = 0; index < SENDERS; index++) start('sender');
for (let index = 0; index < WORKERS; index++) start('worker');
await Promise.race([firstSent, delay(60_000)]);
const longestLifeMs = Math.max(LEAST_LONGEST_LIFE_MS, performance.now() - begin);
const end = performance.now() + Number(seconds) * 1000;
const isEnough = () => performance.now() >= end && terminated >= LEAST_TERMINATED && sent.size >= LEAST_SENT;
while (!isEnough() && failures.length === 0) {
  await delay(Math.random() * longestLifeMs);
  const victim = [...threads][Math.floor(Math.random() * threads.size)];
  threads.delete(victim);
  // Not awaited: the others go on meanwhile.
  victim.terminate();
  terminated++;
  start(victim.role);
}
await Promise.all([...threads].map((thread) => thread.terminate()));

// What is left comes to this one; the messages of the last threads when they are seen to be gone.
await broker.subscribe('ledger', { prefetch: 100 }, (delivery) => {
  record({ handled: delivery.message.id, redelivered: delivery.redelivered });
  delivery.ack();
});
let lost = [];
const patience = performance.now() + 60_000;
do {
  await delay(100);
  lost = [...sent].filter((id) => !handled.has(id));
} while (lost.length > 0 && performance.now() < patience);
const invented = [...handled.keys()].filter((id) => !tried.has(id));
const again = [...handled.values()].filter((times) => times > 1).length;
console.log(
  JSON.stringify({
    terminated,
    sent: sent.size,
    handled: handled.size,
    again,
    lost,
    invented,
    unmarked,
    failures,
  }),
);
process.exit();
