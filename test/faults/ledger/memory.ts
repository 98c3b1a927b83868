import { collectGarbage } from '../../support/garbage.js';

/** Garbage piles up when memory is there, and would be taken for what is held. */
const GARBAGE_MS = 2000;

/** Looks at this process's resident memory again and again, and tells how far above its start it has been. */
export function watchMemory(): { growthBytes(): number; stop(): void } {
  collectGarbage();
  const start = process.memoryUsage.rss();
  let peak = start;
  const look = () => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  const timers = [setInterval(look, 100).unref(), setInterval(collectGarbage, GARBAGE_MS).unref()];
  return {
    growthBytes: () => {
      look();
      return peak - start;
    },
    stop: () => {
      for (const timer of timers) clearInterval(timer);
    },
  };
}
