import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect } from 'millrace';
import { createPool } from './pool.mjs';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'pool' },
  },
});
const broker = await connect(values.url);

// Light work: it waits for something, and three at a time is all that is wanted.
const squares = await createPool(broker, `${values.prefix}.squares`, async (n) => {
  await delay(Math.random() * 10); // the results come in any order
  if (typeof n !== 'number') throw new TypeError(`${JSON.stringify(n)} is not a number`);
  return n * n;
});
console.log(`apply: ${await squares.apply(7)}`);
await new Promise((resolve) => {
  squares.applyAsync(8, (error, result) => resolve(console.log(`applyAsync: ${error ?? result}`)));
});
console.log(`map: ${(await squares.map([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).join(' ')}`);
await squares.apply('seven').catch(({ code, remote }) => console.log(`error: ${code}, ${remote.message}`));

const last = squares.apply(11);
squares.close(); // takes no more
await squares.apply(12).catch(({ code }) => console.log(`closed: ${code}`));
await squares.join(); // waits for those that it had taken
console.log(`join: ${await last}`);

// Heavy work: in threads, so that timers, sockets and heartbeats of this process go on.
const primes = await createPool(
  broker,
  `${values.prefix}.primes`,
  new URL('./count-primes.mjs', import.meta.url),
);
let ticks = 0;
const clock = setInterval(() => ticks++, 5);
const counts = await primes.map([1_000_000, 1_000_000, 1_000_000].map((below) => ({ below })));
clearInterval(clock);
console.log(`primes: ${counts.join(' ')}; the event loop ${ticks > 5 ? 'went on' : 'stood still'} meanwhile`);
console.log(`crash: ${await primes.apply({ below: 100, crash: true })}, by the worker that took its place`);
primes.close();
await primes.join();
await broker.close();
