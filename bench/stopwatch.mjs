import { performance } from 'node:perf_hooks';

/** Runs `work` and says what it took: wall-clock milliseconds and the CPU microseconds of this process. */
export async function timed(count, work) {
  globalThis.gc?.();
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  await work();
  const ms = performance.now() - begin;
  const cpu = process.cpuUsage(cpuBefore);
  return { count, ms, cpuUs: cpu.user + cpu.system };
}
