/** What each client does on the broker, each in its own idiom, on a queue as millrace declares one by default. */
import { createHistogram, performance } from 'node:perf_hooks';
import { stopwatch, timed } from '../stopwatch.mjs';
import { withClient } from './client-run.mjs';

export const timesItself = true;

/**
 * Publishes and then consumes `warmUpCount` and `count` messages, and measures the last of them: as in a service that
 * has been running for a while. V8 compiles for some ten thousand messages, and lets the space for new objects grow,
 * which a forced collection of garbage in between would undo.
 */
export function publishThenConsume({ count, warmUpCount, ...options }) {
  return withClient(options, async (client) => {
    await client.publishAll(warmUpCount);
    const stopWatch = stopwatch(count);
    await client.publishAll(count);
    const publish = stopWatch();
    const consume = await consumeAll(client, count, warmUpCount);
    return { parts: { publish, consume } };
  });
}

/**
 * Publishes and consumes in one process at the same time, until all that was published has arrived: some clients publish
 * most of it first, and deal with deliveries later.
 */
export function bothAtOnce({ count, warmUpCount, ...options }) {
  return withClient(options, async (client) => {
    let missing = 0;
    let finish;
    const stop = await client.consume(() => {
      missing--;
      if (missing === 0) finish();
    });
    const passOn = async (messages) => {
      missing = messages;
      const arrived = new Promise((resolve) => {
        finish = resolve;
      });
      await client.publishAll(messages);
      await arrived;
    };
    await passOn(warmUpCount);
    const stopWatch = stopwatch(count);
    await passOn(count);
    const figures = stopWatch();
    await stop();
    return figures;
  });
}

/** So many awaited sends settle into the pace of their kind. */
const FIRST_SENDS = 100;

/** One message at a time, each confirmed before the next is sent; after `warmUpCount` that were not. */
export function awaitedSends({ count, warmUpCount, ...options }) {
  return withClient(options, async (client) => {
    await client.publishAll(warmUpCount);
    const sendEach = async (times, histogram) => {
      for (let i = 0; i < times; i++) {
        const begin = performance.now();
        await client.send();
        histogram.record(Math.max(1, Math.round((performance.now() - begin) * 1000)));
      }
    };
    await sendEach(FIRST_SENDS, createHistogram());
    const histogram = createHistogram();
    const figures = await timed(count, () => sendEach(count, histogram));
    const latency = { medianUs: histogram.percentile(50), p99Us: histogram.percentile(99) };
    await consumeAll(client, warmUpCount + FIRST_SENDS + count);
    return { ...figures, latency };
  });
}

/** Says what the last `count` messages took that arrived after the first `warmUpCount`. */
async function consumeAll(client, count, warmUpCount = 0) {
  let arrived = 0;
  let stopWatch;
  let finish;
  const all = new Promise((resolve) => {
    finish = resolve;
  });
  if (warmUpCount === 0) stopWatch = stopwatch(count);
  const stop = await client.consume(() => {
    arrived++;
    if (arrived === warmUpCount) stopWatch = stopwatch(count);
    if (arrived === warmUpCount + count) finish(stopWatch());
  });
  const figures = await all;
  await stop();
  return figures;
}
