/**
 * Clients that do one of everything, each against one server, all at once and each step with a time limit: the arguments
 * are ADDRESS#LIMIT…, in milliseconds. Prints a line of JSON for each when it is through, and one about the process at
 * the end. A process of its own: what crashes or blocks it is seen from outside.
 */
import * as millrace from 'millrace';
import { z } from 'zod';

const addresses = process.argv.slice(2);

/** The longest the processor was busy without the event loop getting on, in milliseconds. */
let longestBusyMs = 0;
let peakBytes = 0;
const startBytes = process.memoryUsage.rss();
let last = process.cpuUsage();
const beat = setInterval(() => {
  const { user, system } = process.cpuUsage(last);
  last = process.cpuUsage();
  longestBusyMs = Math.max(longestBusyMs, (user + system) / 1000);
  peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
}, 20);

/** @param {string} argument */
async function play(argument) {
  const [address = '', limit] = argument.split('#');
  const limitMs = Number(limit);
  /** @type {Record<string, string>} */
  const outcomes = {};
  let handled = 0;
  const note = async (name, promise) => {
    outcomes[name] = await promise.then(
      () => 'ok',
      (error) => (millrace.isQueueError(error) ? error.code : `not a QueueError: ${error?.stack}`),
    );
  };
  const wait = { timeoutMs: limitMs };
  const queue = millrace.defineQueue('queue', z.unknown());
  const connecting = millrace.connect(address, {
    connectTimeoutMs: limitMs,
    heartbeatMs: 1000,
    reconnect: { initialDelayMs: 20, maxDelayMs: 200 },
  });
  await note('connect', connecting);
  if (outcomes.connect === 'ok') {
    const broker = await connecting;
    const producer = millrace.createProducer(broker, queue, wait);
    const requester = millrace.createRequester(broker, queue, { reply: z.unknown(), ...wait });
    const dead = millrace.deadLetters(broker, queue);
    const handler = () => {
      handled++;
    };
    const consumer = millrace.createConsumer(broker, queue, handler, { concurrency: 2, observe: () => {} });
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
    await note('stop', consumer.stop({ deadlineMs: limitMs }));
    await note('close the requester', requester.close());
    await note('close', broker.close());
  }
  console.log(JSON.stringify({ address, outcomes, handled }));
}

await Promise.all(addresses.map(play));
clearInterval(beat);
console.log(JSON.stringify({ longestBusyMs, growthBytes: peakBytes - startBytes }));
