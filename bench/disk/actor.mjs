/**
 * A process beside the one that measures: `actor.mjs '{"role":…}'`. Says 'ready', does its work when it is told to
 * 'go', and reports.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { consume, latencyOf, sendEach } from '../flows.mjs';

const { role, ...options } = JSON.parse(process.argv[2]);
const { open } = await import(`./clients/${options.client}.mjs`);

const roles = {
  /** Sends `count` messages, many at once; `warmUp` others before, and then waits to be told to go on. */
  async sender(client, { count, warmUp = 0 }) {
    if (warmUp > 0) {
      // Its messages may be handled, and the word be given, before the last of them is confirmed here.
      const toldToGoOn = once(process, 'message');
      await client.publishAll(warmUp);
      await toldToGoOn;
    }
    await client.publishAll(count);
  },

  /** Sends one message after the other for so many seconds, each awaited. */
  async awaitedSender(client, { seconds }) {
    const histogram = createHistogram();
    const end = performance.now() + seconds * 1000;
    let sent = 0;
    while (performance.now() < end) {
      await sendEach(client, 10, histogram);
      sent += 10;
    }
    return { sent, ...latencyOf(histogram) };
  },

  /** Counts what it handles until it is told to stop. */
  async worker(client) {
    let handled = 0;
    let reported = 0;
    const report = setInterval(() => {
      if (handled !== reported) process.send({ handled });
      reported = handled;
    }, 20);
    const stop = await client.consume(() => {
      handled++;
    });
    await once(process, 'message');
    await stop();
    clearInterval(report);
    return { handled };
  },

  /** Handles `count` messages that are there, a thousand at a time, after it has measured how long opening takes. */
  async opener(client, { count, opening, refill }) {
    const rounds = count / 1000;
    let ms = 0;
    for (let round = 0; round < rounds; round++) {
      if (refill && round > 0) await client.publishAll(1000);
      ms += (await consume(client, 0, 1000)).ms;
    }
    return { opening, count, ms, memoryBytes: privateBytes() };
  },

  /** Reports when each message comes, and then what it costs to wait for none. */
  async waker(client, { idleSeconds }) {
    const stop = await client.consume(() =>
      process.send({ received: performance.timeOrigin + performance.now() }),
    );
    process.send('listening');
    await once(process, 'message');
    const before = process.cpuUsage();
    await delay(idleSeconds * 1000);
    const { user, system } = process.cpuUsage(before);
    await stop();
    return { idle: (user + system) / 1e6 / idleSeconds };
  },
};

/** What the process takes for itself: without the program's own pages, which every process of Node shares. */
function privateBytes() {
  const kilobytes = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

const begin = performance.now();
const client = await open(options);
await client.countLeft();
const opening = performance.now() - begin;
process.on('disconnect', () => process.exit(1));
process.send('ready');
await once(process, 'message');
const report = await roles[role](client, { ...options, opening });
process.send({ report: report ?? {} });
await once(process, 'message');
process.exit();
