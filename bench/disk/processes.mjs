/** Several processes on one queue. */
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { consume, latencyOf } from '../flows.mjs';
import { median } from '../statistics.mjs';
import { Actor } from './actors.mjs';
import { newQueueName, openClient } from './client-run.mjs';

export const timesItself = true;

/** One process sends, this one handles. */
export async function between({ count, ...options }) {
  const queue = newQueueName();
  const { client, close } = await openClient({ ...options, queue });
  const sender = await Actor.start({ ...options, queue, role: 'sender', count });
  sender.tell('go');
  const figures = await consume(client, Math.ceil(count / 10), count - Math.ceil(count / 10));
  await sender.report();
  await close();
  return figures;
}

/** The warm-up messages of each sending process. */
const CROWD_WARM_UP = 10_000;

/**
 * `pairs` processes send and as many work; `count` messages in total are measured, each of which must be handled. They start
 * once all warm-up messages are handled.
 */
export async function crowd({ count, pairs, warmUp = CROWD_WARM_UP, ...options }) {
  const queue = newQueueName();
  const { close } = await openClient({ ...options, queue });
  const workers = await startAll(pairs, { ...options, queue, role: 'worker' });
  const senders = await startAll(pairs, { ...options, queue, role: 'sender', warmUp, count: count / pairs });
  const handled = workers.map(() => 0);
  let onHandled = () => {};
  for (const [index, worker] of workers.entries()) {
    worker.onNews((news) => {
      handled[index] = news.handled;
      onHandled();
    });
  }
  const whenHandled = (number) =>
    /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        onHandled = () => {
          if (sum(handled) >= number) resolve();
        };
        onHandled();
      })
    );
  for (const actor of [...workers, ...senders]) actor.tell('go');
  await whenHandled(pairs * warmUp);
  const begin = performance.now();
  const all = whenHandled(pairs * warmUp + count);
  for (const sender of senders) sender.tell('warm');
  await Promise.all([all, ...senders.map((sender) => sender.report())]);
  const ms = performance.now() - begin;
  for (const worker of workers) worker.tell('stop');
  const reports = await Promise.all(workers.map((worker) => worker.report()));
  const total = sum(reports.map((report) => report.handled));
  if (total !== pairs * warmUp + count)
    throw new Error(`failed: ${total} of ${pairs * warmUp + count} messages were handled`);
  await close();
  return { count, ms };
}

/** So many processes send as fast as they can, one awaited message after the other, for some seconds. */
export async function contended({ senders: number, seconds, ...options }) {
  const queue = newQueueName();
  const { client, close } = await openClient({ ...options, queue });
  const senders = await startAll(number, { ...options, queue, role: 'awaitedSender', seconds });
  for (const sender of senders) sender.tell('go');
  const reports = await Promise.all(senders.map((sender) => sender.report()));
  const count = sum(reports.map(({ sent }) => sent));
  await consume(client, 0, count);
  await close();
  const share = (Math.min(...reports.map(({ sent }) => sent)) * number) / count;
  const worst = (figure) => Math.max(...reports.map((report) => report[figure]));
  return {
    count,
    ms: seconds * 1000,
    share,
    latency: {
      medianUs: median(reports.map(({ medianUs }) => medianUs)),
      p99Us: worst('p99Us'),
      maxUs: worst('maxUs'),
    },
  };
}

/** From an awaited send here to the handler of an idle process, and what that process costs while nothing comes. */
export async function waking({ count, idleSeconds, ...options }) {
  const queue = newQueueName();
  const { client, close } = await openClient({ ...options, queue });
  const waker = await Actor.start({ ...options, queue, role: 'waker', idleSeconds });
  const listening = waker.news();
  waker.tell('go');
  await listening;
  const histogram = createHistogram();
  for (let i = 0; i < count; i++) {
    await delay(20);
    const arrived = waker.news();
    const sent = performance.timeOrigin + performance.now();
    await client.send();
    const { received } = await arrived;
    histogram.record(Math.max(1, Math.round((received - sent) * 1000)));
  }
  waker.tell('idle');
  const { idle } = await waker.report();
  await close();
  return { count, ms: 0, idle, latency: latencyOf(histogram) };
}

/**
 * With so many waiting, another process opens the queue and handles `count` of them, a thousand at a time. Where no
 * more than that wait, it refills.
 */
export async function waiting({ waiting: number, count, ...options }) {
  const queue = newQueueName();
  const { client } = await openClient({ ...options, queue });
  await client.publishAll(number);
  await client.close();
  const opener = await Actor.start({ ...options, queue, role: 'opener', count, refill: number < count });
  opener.tell('go');
  const report = await opener.report();
  return { ...report, openingMs: report.opening };
}

function startAll(number, options) {
  return Promise.all(Array.from({ length: number }, () => Actor.start(options)));
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
