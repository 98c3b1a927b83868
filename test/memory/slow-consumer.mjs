/**
 * A fast producer and a consumer that takes ten times as long per message, in a process of its own, so that its
 * resident memory is nobody else's. Prints what it saw as JSON.
 *
 *   node slow-consumer.mjs ADDRESS QUEUE MESSAGES
 */

import { setImmediate } from 'node:timers/promises';
import { connect, createConsumer, createProducer, defineQueue } from 'millrace';
import { z } from 'zod';

const [address, name, messages] = process.argv.slice(2);
const total = Number(messages);
const value = { id: 0, text: 'x'.repeat(80) };
const queue = defineQueue(name, z.object({ id: z.number(), text: z.string() }));

/** The test has no time limit: one that would do for a slow machine is none for a fast one. */
const STALL_MS = 60_000;
let stalled = setTimeout(stall, STALL_MS);
function stall() {
  console.error(`nothing was handled for ${STALL_MS} ms; ${handled} of ${total} messages were`);
  process.exit(1);
}
function progress() {
  clearTimeout(stalled);
  stalled = setTimeout(stall, STALL_MS);
}

let handled = 0;
const broker = await connect(address);
const startBytes = process.memoryUsage.rss();
let peakBytes = startBytes;
const sample = () => {
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
};

const producer = createProducer(broker, queue, { timeoutMs: Number.POSITIVE_INFINITY });

/** What a message costs the producer while nobody consumes and there is room, once the code is warm. */
const rounds = address === 'local:' ? 50 : 1;
const perRound = 500;
const before = performance.now();
for (let round = 0; round < rounds; round++) {
  if (round > 0) await broker.purge(name);
  for (let id = 0; id < perRound; id++) await producer.send({ ...value, id });
  progress();
}
const costMs = (performance.now() - before) / (rounds * perRound);

let greatestDepth = 0;
const handleMs = Math.min(10 * costMs, 0.1);

/** Takes time without making garbage: reading a clock in a loop would fill the heap with numbers. */
let sink = 0;
function spin(turns) {
  for (let turn = 0; turn < turns; turn++) sink = (sink * 31 + turn) | 0;
}
spin(10_000_000);
const calibration = performance.now();
spin(10_000_000);
const turns = Math.ceil((handleMs / (performance.now() - calibration)) * 10_000_000);

const consumer = createConsumer(
  broker,
  queue,
  async () => {
    spin(turns);
    // A turn of the event loop, as work that waits for something takes: in it the producer fills the queue.
    await setImmediate();
    handled++;
    if (handled % 1000 === 0) {
      progress();
      sample();
      const { ready } = await broker.inspect(name);
      greatestDepth = Math.max(greatestDepth, ready);
    }
  },
  { concurrency: 1, prefetch: 64 },
);
await consumer.start();
if (address === 'local:') {
  for (let id = perRound; id < total; id++) await producer.send({ ...value, id });
} else {
  await producer.sendMany(
    (function* () {
      for (let id = perRound; id < total; id++) yield { ...value, id };
    })(),
  );
}
while (handled < total) await setImmediate();
sample();
await consumer.stop();
const left = (await broker.inspect(name)).ready;
await broker.close();
clearTimeout(stalled);
console.log(JSON.stringify({ startBytes, peakBytes, costMs, handleMs, handled, greatestDepth, left }));
