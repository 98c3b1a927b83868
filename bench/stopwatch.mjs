import { performance } from 'node:perf_hooks';

/**
 * Starts now. What it returns says what `count` things took since: wall-clock milliseconds and CPU microseconds of this
 * process. No collection of garbage is forced before: V8 would give up the space for new objects that the process has
 * come to need, and who makes many would pay for each turn as for its first.
 */
export function stopwatch(count) {
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  return () => {
    const ms = performance.now() - begin;
    const cpu = process.cpuUsage(cpuBefore);
    return { count, ms, cpuUs: cpu.user + cpu.system };
  };
}
