// One measurement in a process of its own: measure.mjs NAME FOLDER [COUNT …]. Reports to its parent.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { open } from 'lmdb';
import { z } from 'zod';
import { openDiskBroker } from '../../dist/local-queue/disk/disk-broker.js';
import { defineQueue } from '../../dist/queue.js';

const QUEUE = 'bench';
const WINDOW = 1000;
const BODY = 'x'.repeat(100);
const { spec } = defineQueue(QUEUE, z.string(), { deadLetter: false });

const [name, folder, ...counts] = process.argv.slice(2);
const [count, other] = counts.map(Number);

function send(broker, id) {
  const message = { id, contentType: 'text/plain', headers: {}, body: BODY };
  return broker.publish({ exchange: '', routingKey: QUEUE }, message);
}

async function sendMany(broker, total) {
  let next = 0;
  const lane = async () => {
    while (next < total) await send(broker, `m${next++}`);
  };
  await Promise.all(Array.from({ length: WINDOW }, lane));
}

/** Takes and acknowledges so many; the milliseconds from the first to the last. */
async function handle(broker, total) {
  let handled = 0;
  let begun;
  const { promise, resolve } = deferred();
  const subscription = await broker.subscribe(QUEUE, { prefetch: WINDOW }, (delivery) => {
    begun ??= performance.now();
    if (handled === total) return;
    delivery.ack();
    if (++handled === total) resolve(performance.now() - begun);
  });
  const took = await promise;
  await subscription.close();
  return took;
}

function deferred() {
  let resolve;
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

function child(part, ...args) {
  return fork(fileURLToPath(import.meta.url), [part, folder, ...args.map(String)]);
}

const measurements = {
  async 'one-process'() {
    const broker = await openDiskBroker(folder);
    await broker.declare(spec);
    await sendMany(broker, 20_000);
    await handle(broker, 20_000);
    const begun = performance.now();
    await sendMany(broker, count);
    const sends = count / (performance.now() - begun);
    const handled = count / (await handle(broker, count));
    await broker.close();
    return { sends: sends * 1000, handled: handled * 1000 };
  },

  async single() {
    const store = open({ path: join(folder, 'plain.mdb'), noSubdir: true, encoding: 'binary' });
    const broker = await openDiskBroker(join(folder, 'queue'));
    await broker.declare(spec);
    const puts = [];
    const sends = [];
    for (let index = 0; index < count; index++) {
      let begun = performance.now();
      await store.put(index, Buffer.from(BODY));
      await store.flushed;
      puts.push(performance.now() - begun);
      begun = performance.now();
      await send(broker, `m${index}`);
      sends.push(performance.now() - begun);
    }
    await store.close();
    await broker.close();
    return { put: median(puts), send: median(sends) };
  },

  async 'two-processes'() {
    const broker = await openDiskBroker(folder);
    await broker.declare(spec);
    const sender = child('sender', count);
    const took = await handle(broker, count);
    await broker.close();
    if (sender.exitCode === null) await once(sender, 'exit');
    return { handled: (count / took) * 1000 };
  },

  async sender() {
    const broker = await openDiskBroker(folder);
    await sendMany(broker, count);
    await broker.close();
  },

  async waking() {
    const broker = await openDiskBroker(folder);
    await broker.declare(spec);
    const worker = child('waker');
    await once(worker, 'message');
    const latencies = [];
    for (let index = 0; index < count; index++) {
      await delay(20);
      const begun = Date.now();
      const at = performance.now();
      const arrived = once(worker, 'message');
      await send(broker, `${begun}`);
      const [{ received }] = await arrived;
      latencies.push(Math.max(received - performance.timeOrigin - at, 0));
    }
    worker.send('idle');
    const [{ idle }] = await once(worker, 'message');
    worker.disconnect();
    await broker.close();
    return { median: median(latencies), idle };
  },

  async waker() {
    const broker = await openDiskBroker(folder);
    await broker.subscribe(QUEUE, { prefetch: 1 }, (delivery) => {
      process.send({ received: performance.timeOrigin + performance.now() });
      delivery.ack();
    });
    process.send('ready');
    await once(process, 'message');
    const before = process.cpuUsage();
    const seconds = 5;
    await delay(seconds * 1000);
    const { user, system } = process.cpuUsage(before);
    process.send({ idle: (user + system) / 1e6 / seconds });
    await once(process, 'disconnect');
    await broker.close();
  },

  /**
   * So many waiting: a process that has just begun handles some of them, a thousand at a time. What is handed out beyond
   * goes back each time, so that there must be two thousand; where there are no more, it refills.
   */
  async waiting() {
    const filler = child('filler', count);
    await once(filler, 'exit');
    const worker = child('worker', count, other);
    const [report] = await once(worker, 'message');
    return report;
  },

  async filler() {
    const broker = await openDiskBroker(folder);
    await broker.declare(spec);
    await sendMany(broker, count);
    await broker.close();
  },

  async worker() {
    const begun = performance.now();
    const broker = await openDiskBroker(folder);
    await broker.inspect(QUEUE);
    const opening = performance.now() - begun;
    const rounds = other / WINDOW;
    let took = 0;
    for (let round = 0; round < rounds; round++) {
      if (count === 2 * WINDOW && round > 0) await sendMany(broker, WINDOW);
      const at = performance.now();
      await handle(broker, WINDOW);
      took += performance.now() - at;
    }
    const report = { opening, handled: (other / took) * 1000, ...memory() };
    await broker.close();
    return report;
  },
};

/** Linux counts the pages of a mapped file as resident, though they are the system's cache of that file. */
function memory() {
  const resident = process.memoryUsage().rss;
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return { resident, memory: Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) * 1024 };
  } catch {
    return { resident, memory: resident };
  }
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

const report = await measurements[name]();
if (report !== undefined) process.send(report);
if (process.connected) process.disconnect();
