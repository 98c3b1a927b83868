/**
 * One subject in this process: `node measure.mjs '{"module":…,"run":…,"options":{…}}'`, started by rounds.mjs. Says
 * when it is ready; then each 'turn' that it is told is one measurement, answered with its figures, and 'close' ends it.
 *
 * A case is a function that is timed as a whole. Or, where its module says so, one that times the parts of it that
 * matter by itself and returns its figures (`timesItself`), or one that returns a `turn` and a `close` (`staysOpen`).
 */
import { stopwatch } from './stopwatch.mjs';

const { module, run, options } = JSON.parse(process.argv[2]);
const cases = await import(new URL(module, import.meta.url).href);
const subject = await open(cases[run]);
process.on('message', answer);
process.on('disconnect', () => process.exit(1));
process.send('ready');

async function open(work) {
  if (cases.staysOpen) return work(options);
  const close = async () => {};
  if (cases.timesItself) return { turn: () => work(options), close };
  await warmUp(work);
  const turn = async () => {
    const stopWatch = stopwatch(options.count);
    await work(options);
    return stopWatch();
  };
  return { turn, close };
}

/** Compiled and settled first: what is measured is a process that has been running for a while. */
async function warmUp(work) {
  const { count, depth } = options;
  const part = Math.ceil(count / 10);
  const partly = { ...options, count: part, ...(depth !== undefined && { depth: Math.min(depth, part) }) };
  for (let round = 0; round < 3; round++) await work(partly);
}

async function answer(request) {
  if (request === 'turn') {
    const figures = await subject.turn();
    process.send({ ...figures, peakRssBytes: process.resourceUsage().maxRSS * 1024 });
  } else {
    await subject.close();
    process.send('closed', () => process.exit());
  }
}
