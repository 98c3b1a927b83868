/**
 * What a client does in a turn: publish, consume, both at once, one awaited send after the other. Each function takes
 * `openClient`, which knows how to open the client that the options name and how to leave nothing behind.
 *
 * A service is measured that has been running for a while: `warmUpCount` messages have gone through before the first
 * turn, since V8 compiles for some ten thousand of them and lets the space for new objects grow. Each turn begins with
 * half as many as it measures, because the other subjects had the machine in between.
 */
import { createHistogram, performance } from 'node:perf_hooks';
import { stopwatch } from './stopwatch.mjs';

/** In each turn, publishes messages, and then consumes them. */
export function publishThenConsume(openClient, { count, warmUpCount, ...options }) {
  const ramp = Math.ceil(count / 2);
  return stayingOpen(openClient, options, {
    async warmUp(client) {
      await publish(client, 0, warmUpCount);
      await consume(client, 0, warmUpCount);
    },
    turn: async (client) => ({
      parts: { publish: await publish(client, ramp, count), consume: await consume(client, ramp, count) },
    }),
  });
}

/**
 * In each turn, publishes and consumes at the same time, until all that was published has arrived: some clients publish
 * most of it first, and deal with deliveries later.
 */
export function bothAtOnce(openClient, { count, warmUpCount, ...options }) {
  return stayingOpen(openClient, options, {
    warmUp: (client) => pass(client, 0, warmUpCount),
    turn: (client) => pass(client, Math.ceil(count / 2), count),
  });
}

/** So many awaited sends settle into the pace of their kind. */
const FIRST_SENDS = 20;

/** In each turn, sends one message at a time, each confirmed before the next. */
export function awaitedSends(openClient, { count, warmUpCount, ...options }) {
  return stayingOpen(openClient, options, {
    async warmUp(client) {
      await publish(client, 0, warmUpCount);
      await consume(client, 0, warmUpCount);
    },
    async turn(client) {
      await sendEach(client, FIRST_SENDS, createHistogram());
      const histogram = createHistogram();
      const stopWatch = stopwatch(count);
      await sendEach(client, count, histogram);
      const figures = stopWatch();
      await consume(client, 0, FIRST_SENDS + count);
      return { ...figures, latency: latencyOf(histogram) };
    },
  });
}

/** Does the work; where it fails, closes first, so that nothing is left behind. */
export async function closingOnFailure(close, work) {
  try {
    return await work();
  } catch (error) {
    // The work's own error says what went wrong.
    await close().catch(() => {});
    throw error;
  }
}

/** Sends one message after the other and records what each took, in microseconds. */
export async function sendEach(client, times, histogram) {
  for (let i = 0; i < times; i++) {
    const begin = performance.now();
    await client.send();
    histogram.record(Math.max(1, Math.round((performance.now() - begin) * 1000)));
  }
}

/** What a histogram of microseconds comes to. */
export function latencyOf(histogram) {
  return { medianUs: histogram.percentile(50), p99Us: histogram.percentile(99), maxUs: histogram.max };
}

/** Measures the last `count` messages that arrive after the first `ramp`. */
export async function consume(client, ramp, count) {
  let arrived = 0;
  let stopWatch = stopwatch(count);
  let finish;
  const all = new Promise((resolve) => {
    finish = resolve;
  });
  const stop = await client.consume(() => {
    arrived++;
    if (arrived === ramp) stopWatch = stopwatch(count);
    if (arrived === ramp + count) finish(stopWatch());
  });
  const figures = await all;
  await stop();
  return figures;
}

async function stayingOpen(openClient, options, { warmUp, turn }) {
  const { client, close } = await openClient(options);
  await closingOnFailure(close, () => warmUp(client));
  return { turn: () => closingOnFailure(close, () => turn(client)), close };
}

async function publish(client, ramp, count) {
  if (ramp > 0) await client.publishAll(ramp);
  const stopWatch = stopwatch(count);
  await client.publishAll(count);
  return stopWatch();
}

async function pass(client, ramp, count) {
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
  if (ramp > 0) await passOn(ramp);
  const stopWatch = stopwatch(count);
  await passOn(count);
  const figures = stopWatch();
  await stop();
  return figures;
}
