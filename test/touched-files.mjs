// Prints the files of the package whose functions run while messages are sent, and while they are sent and handled, once
// everything is set up: { "send": [...], "sendAndHandle": [...] }. Arguments: the address of a broker, and a queue's name.
import { Session } from 'node:inspector/promises';
import { connect, createConsumer, createProducer, defineQueue } from '../dist/index.js';

const WARM_UP = 50;
/** Few, so that a round on a slow disk ends before the store looks at the free space again. */
const STEADY = 5;
const ROUNDS = 16;
const dist = new URL('../dist/', import.meta.url).href;

const session = new Session();
session.connect();
const workers = new Map();
const answers = new Map();
let lastId = 0;

/** Threads of the package are asked through the main thread's session. */
async function postToWorker(sessionId, method, params) {
  const id = ++lastId;
  const answer = new Promise((resolve) => answers.set(id, resolve));
  await session.post('NodeWorker.sendMessageToWorker', {
    sessionId,
    message: JSON.stringify({ id, method, params }),
  });
  return answer;
}

session.on('NodeWorker.attachedToWorker', ({ params: { sessionId } }) => workers.set(sessionId, true));
session.on('NodeWorker.receivedMessageFromWorker', ({ params: { message } }) => {
  const { id, result } = JSON.parse(message);
  answers.get(id)?.(result);
});
await session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });

async function each(method, params) {
  const all = [session.post(method, params)];
  for (const sessionId of workers.keys()) all.push(postToWorker(sessionId, method, params));
  return Promise.all(all);
}

/** The files whose functions ran since the last call. */
async function touched() {
  const files = new Set();
  for (const { result } of await each('Profiler.takePreciseCoverage')) {
    for (const { url, functions } of result) {
      if (!url.startsWith(dist)) continue;
      if (functions.some(({ ranges }) => ranges[0].count > 0)) files.add(url.slice(dist.length));
    }
  }
  return [...files].sort();
}

// A thread that is asked for its coverage keeps no process alive.
const keepAlive = setInterval(() => {}, 1000);
const [address, name] = process.argv.slice(2);
const any = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
const queue = defineQueue(name, any);
const broker = await connect(address);
const producer = createProducer(broker, queue);

async function send(count) {
  for (let i = 0; i < count; i++) await producer.send({ number: i });
}

let handled = 0;

async function sendAndHandle(count) {
  const before = handled;
  await send(count);
  while (handled < before + count) await new Promise((resolve) => setImmediate(resolve));
  // The last acknowledgement follows its handler.
  await new Promise((resolve) => setTimeout(resolve, 20));
}

/** The files that every round touched: timers of the package may fire in some. */
async function alwaysTouched(round) {
  await touched();
  const rounds = [];
  for (let i = 0; i < ROUNDS; i++) {
    await round();
    rounds.push(await touched());
  }
  return rounds.reduce((common, files) => common.filter((file) => files.includes(file)));
}

await send(WARM_UP);
await each('Profiler.enable');
await each('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
const sending = await alwaysTouched(() => send(STEADY));
const consumer = createConsumer(broker, queue, async () => {
  handled++;
});
await consumer.start();
await sendAndHandle(WARM_UP);
const handling = await alwaysTouched(() => sendAndHandle(STEADY));
process.stdout.write(JSON.stringify({ send: sending, sendAndHandle: handling }));
await consumer.stop();
await broker.close();
session.disconnect();
clearInterval(keepAlive);
