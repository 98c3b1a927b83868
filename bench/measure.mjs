/**
 * One measurement in this process: `node measure.mjs '{"module":…,"run":…,"options":{…}}'`, started by rounds.mjs,
 * which gets the result as a message. A case either is timed as a whole, or times the parts of it that matter by
 * itself (`timesItself`) and returns its figures.
 */
import { timed } from './stopwatch.mjs';

const { module, run, options } = JSON.parse(process.argv[2]);
const cases = await import(new URL(module, import.meta.url));
const work = cases[run];
const figures = cases.timesItself ? await work(options) : await timeWhole();
process.send({ ...figures, peakRssBytes: process.resourceUsage().maxRSS * 1024 }, () => process.exit());

async function timeWhole() {
  const { count, depth } = options;
  // Compiled and settled first: what is measured is a process that has been running for a while.
  const part = Math.ceil(count / 10);
  const warmUp = { ...options, count: part, ...(depth !== undefined && { depth: Math.min(depth, part) }) };
  for (let round = 0; round < 3; round++) await work(warmUp);
  return timed(count, () => work(options));
}
