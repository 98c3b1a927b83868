/**
 * A client that does one of everything against the server at ADDRESS, each with a time limit, and prints what it came
 * to as JSON. A process of its own: what crashes or blocks it is seen from outside.
 */
import * as millrace from 'millrace';
import { z } from 'zod';

const address = process.argv[2];
const LIMIT_MS = 1500;

/** The longest the processor was busy without the event loop getting on, in milliseconds. */
let longestBusy = 0;
let last = process.cpuUsage();
const beat = setInterval(() => {
  const { user, system } = process.cpuUsage(last);
  last = process.cpuUsage();
  longestBusy = Math.max(longestBusy, (user + system) / 1000);
}, 20);
const peak = { rss: 0 };
const memory = setInterval(() => {
  peak.rss = Math.max(peak.rss, process.memoryUsage.rss());
}, 20);

const outcomes = {};
async function note(name, promise) {
  outcomes[name] = await promise.then(
    () => 'ok',
    (error) => (millrace.isQueueError(error) ? error.code : `not a QueueError: ${error?.stack}`),
  );
}

const before = process.memoryUsage.rss();
const wait = { timeoutMs: LIMIT_MS };
const queue = millrace.defineQueue('queue', z.unknown());
let handled = 0;
let broker;
await note(
  'connect',
  millrace
    .connect(address, {
      connectTimeoutMs: LIMIT_MS,
      heartbeatSeconds: 1,
      reconnect: { initialDelayMs: 20, maxDelayMs: 200 },
    })
    .then((opened) => {
      broker = opened;
    }),
);
if (broker !== undefined) {
  const producer = millrace.createProducer(broker, queue, wait);
  const requester = millrace.createRequester(broker, queue, { reply: z.unknown(), ...wait });
  const dead = millrace.deadLetters(broker, queue);
  const consumer = millrace.createConsumer(
    broker,
    queue,
    () => {
      handled++;
    },
    { concurrency: 2, observe: () => {} },
  );
  consumer.ended.catch(() => {});
  const values = Array.from({ length: 20 }, (_, index) => index);
  await Promise.all([
    ...[1, 2, 3].map((number) => note(`send ${number}`, producer.send(number))),
    note('trySend', producer.trySend(4)),
    note('sendMany', producer.sendMany(values, wait)),
    note('request', requester.request(5, wait)),
    note('start', consumer.start(wait)),
    note('inspect', broker.inspect('queue', wait)),
    note('purge', broker.purge('queue', wait)),
    note('list', dead.list(wait)),
  ]);
  await note('send again', producer.send(6));
  await note('stop', consumer.stop({ deadlineMs: LIMIT_MS }));
  await note('close the requester', requester.close());
  await note('close', broker.close());
}
clearInterval(beat);
clearInterval(memory);
console.log(JSON.stringify({ outcomes, handled, longestBusy, growthBytes: peak.rss - before }));
