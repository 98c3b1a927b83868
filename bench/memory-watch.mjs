import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';

/** More than this is not worth waiting for. */
const ENOUGH_BYTES = 1e9;

/**
 * Watches this process's resident memory while `produce` and `consume` run. They end soon after `done()` is true:
 * when the time is over, or when the memory has grown without a sign of an end.
 */
export async function watchMemory(seconds, { produce, consume }) {
  globalThis.gc?.();
  await delay(200);
  const startBytes = process.memoryUsage.rss();
  let peakBytes = startBytes;
  const begin = performance.now();
  const cpuBefore = process.cpuUsage();
  const elapsedMs = () => performance.now() - begin;
  const over = () => {
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    return elapsedMs() > seconds * 1000 || peakBytes - startBytes > ENOUGH_BYTES;
  };
  let isOver = false;
  const timer = setInterval(() => {
    isOver = over();
  }, 50);
  const done = () => isOver || elapsedMs() > seconds * 1000;
  const count = { produced: 0, consumed: 0 };
  const work = Promise.all([produce(done, count), consume(done, count)]);
  await Promise.race([work, untilTrue(done)]);
  clearInterval(timer);
  over();
  const cpu = process.cpuUsage(cpuBefore);
  const ms = elapsedMs();
  // Messages in flight finish; a sender that waits for room at that point may wait for ever.
  await Promise.race([work, delay(3000)]);
  return {
    count: count.produced,
    consumed: count.consumed,
    ms,
    cpuUs: cpu.user + cpu.system,
    peakGrowthBytes: peakBytes - startBytes,
    givenUp: peakBytes - startBytes > ENOUGH_BYTES,
  };
}

async function untilTrue(done) {
  while (!done()) await delay(100);
}
