/** What each client does on the broker, each in its own idiom, on a queue as millrace declares one by default. */
import { createHistogram, performance } from 'node:perf_hooks';
import { timed } from '../stopwatch.mjs';
import { withClient } from './client-run.mjs';

export const timesItself = true;

/** Publishes `count` messages and then consumes them. */
export function publishThenConsume({ count, ...options }) {
  return withClient(options, async (client) => {
    await warmUp(client, count);
    const publish = await timed(count, () => client.publishAll(count));
    const consume = await timed(count, () => consumeAll(client, count));
    return { parts: { publish, consume } };
  });
}

/** Publishes and consumes in one process at the same time. */
export function bothAtOnce({ count, ...options }) {
  return withClient(options, async (client) => {
    await warmUp(client, count);
    return timed(count, () => Promise.all([consumeAll(client, count), client.publishAll(count)]));
  });
}

/** One message at a time, each confirmed before the next is sent. */
export function awaitedSends({ count, ...options }) {
  return withClient(options, async (client) => {
    const sendEach = async (times, histogram) => {
      for (let i = 0; i < times; i++) {
        const begin = performance.now();
        await client.send();
        histogram.record(Math.max(1, Math.round((performance.now() - begin) * 1000)));
      }
    };
    await sendEach(Math.ceil(count / 4), createHistogram());
    const histogram = createHistogram();
    const figures = await timed(count, () => sendEach(count, histogram));
    const latency = { medianUs: histogram.percentile(50), p99Us: histogram.percentile(99) };
    await consumeAll(client, count + Math.ceil(count / 4));
    return { ...figures, latency };
  });
}

async function warmUp(client, count) {
  const few = Math.min(3000, count);
  await client.publishAll(few);
  await consumeAll(client, few);
}

async function consumeAll(client, count) {
  let arrived = 0;
  let finish;
  const all = new Promise((resolve) => {
    finish = resolve;
  });
  const stop = await client.consume(() => {
    arrived++;
    if (arrived === count) finish();
  });
  await all;
  await stop();
}
