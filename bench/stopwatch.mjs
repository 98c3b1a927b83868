import { performance } from 'node:perf_hooks';

/** Starts now. What it returns says what `count` things took since: wall-clock milliseconds and CPU microseconds of this process. */
export function stopwatch(count) {
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  return () => {
    const ms = performance.now() - begin;
    const cpu = process.cpuUsage(cpuBefore);
    return { count, ms, cpuUs: cpu.user + cpu.system };
  };
}

/** Runs `work` and says what it took. */
export async function timed(count, work) {
  globalThis.gc?.();
  const stop = stopwatch(count);
  await work();
  return stop();
}
