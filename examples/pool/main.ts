/** Tasks, results and three workers, in this process or with `-u ADDRESS` in three others, one of which is killed. */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { connect, isQueueError } from 'millrace';
import { startProgram } from '../start-program.ts';
import { Pool, startWorkers } from './pool.ts';
import { countPrimes, Primes, primesIn, Square, squareBy, squaresIn } from './tasks.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u' },
    prefix: { type: 'string', default: 'pool' },
  },
});
const inProcesses = values.url !== undefined;
const broker = await connect(values.url ?? 'local:');
const [squareTasks, primeTasks] = [squaresIn(values.prefix), primesIn(values.prefix)];

const processes = Array.from({ length: inProcesses ? 3 : 0 }, () =>
  startProgram(import.meta.url, './worker', ['-u', values.url ?? '', '--prefix', values.prefix]),
);
await Promise.all(processes.map((worker) => once(worker, 'message'))); // each reports when it is ready
const consumers = inProcesses
  ? []
  : [
      await startWorkers(broker, squareTasks, squareBy(['worker 1', 'worker 2', 'worker 3'])),
      await startWorkers(broker, primeTasks, countPrimes),
    ];

const squares = new Pool(broker, squareTasks, Square);
const seven = await squares.apply(7);
console.log(`apply: ${seven.square}, by ${seven.worker}`);
await new Promise<void>((resolve) => {
  squares.applyAsync(8, (error, result) => {
    console.log(`applyAsync: ${error ?? `${result?.square}, by ${result?.worker}`}`);
    resolve();
  });
});
console.log(`map: ${(await squares.map([1, 2, 3, 4, 5])).map(({ square }) => square).join(' ')}`);
const workers = new Set<string>();
for await (const { square, worker } of squares.imap([6, 7, 8, 9, 10])) {
  console.log(`imap: ${square}, by ${worker}`); // in the order of the tasks, each as soon as it is available
  workers.add(worker);
}
await squares.apply('seven').catch((error) => {
  if (isQueueError(error)) console.log(`error: ${error.code}, ${error.remote?.message}`);
});

if (inProcesses) {
  let results = 0;
  for await (const _ of squares.imap(Array(60).keys())) {
    if (++results === 10) processes[0]?.kill('SIGKILL'); // its tasks are redelivered to another process
  }
  console.log(`killed: one of ${processes.length} processes; all ${results} results are there`);
}

const last = squares.apply(11);
squares.close(); // takes no more
await squares.apply(12).catch((error) => console.log(`closed: ${isQueueError(error) ? error.code : error}`));
await squares.join(); // waits for the tasks that it had accepted
console.log(`join: ${(await last).square}`);

// Heavy work runs in threads, so that timers, sockets and heartbeats of this process keep working.
const primes = new Pool(broker, primeTasks, Primes);
const crashed = await primes.apply({ below: 100, crash: true });
console.log(`crash: ${crashed.primes}, by the worker that took its place`);
let ticks = 0;
const clock = setInterval(() => ticks++, 5);
const million = { below: 1_000_000 };
for await (const { primes: count, worker } of primes.imap([million, million, million])) {
  console.log(`primes: ${count}, by ${worker}`);
}
clearInterval(clock);
console.log(`the event loop ${ticks > 5 ? 'went on' : 'stood still'} meanwhile`);
primes.close();
await primes.join();

await Promise.all(consumers.map((consumer) => consumer.stop()));
const ended = processes
  .filter(({ killed }) => !killed)
  .map((worker) => [worker.kill('SIGTERM'), once(worker, 'exit')]);
await Promise.all(ended.flat());
await broker.close();
