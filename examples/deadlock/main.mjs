/** Ten thousand pieces of work, each of which needs two of twenty machines at once, named in any order. */
import { setImmediate as turn } from 'node:timers/promises';
import { connect, createConsumer, createProducer, defineQueue, isQueueError, LocalQueue } from 'millrace';
import { z } from 'zod';

const MACHINES = 20;
const WORKERS = 50;
const jobs = Array.from({ length: 10_000 }, () => {
  const first = Math.floor(Math.random() * MACHINES);
  return [first, (first + 1 + Math.floor(Math.random() * (MACHINES - 1))) % MACHINES];
});

/** Each machine is a lock: a queue that holds its one key. Who takes the first and waits for the second may wait for ever. */
async function naive() {
  const locks = Array.from({ length: MACHINES }, () => new LocalQueue({ capacity: 1 }));
  for (const lock of locks) lock.tryPut('key');
  const line = jobs.values();
  let done = 0;

  async function worker() {
    for (const [first, second] of line) {
      await locks[first].take({ timeoutMs: 500 }); // without this limit the program would never say anything again
      await turn();
      await locks[second].take({ timeoutMs: 500 });
      done++;
      locks[second].tryPut('key');
      locks[first].tryPut('key');
    }
  }

  const ends = await Promise.allSettled(Array.from({ length: WORKERS }, worker));
  const stuck = ends.filter(({ reason }) => isQueueError(reason, 'TIMEOUT')).length;
  console.log(
    `one lock after the other: ${stuck > 0 ? 'locked up' : 'finished'} with ${done} of ${jobs.length} done`,
  );
}

/** The consumer gives a job to a worker when all of its keys are free, and then all of them at once. */
async function keyed() {
  const queue = defineQueue('jobs', z.tuple([z.number(), z.number()]));
  const broker = await connect('local:');
  const busy = new Set();
  let [done, clashes, most] = [0, 0, 0];
  let finish;
  const finished = new Promise((resolve) => {
    finish = resolve;
  });

  const worker = async (machines) => {
    for (const machine of machines) clashes += busy.has(machine) ? 1 : 0;
    for (const machine of machines) busy.add(machine);
    most = Math.max(most, busy.size / 2);
    await turn();
    for (const machine of machines) busy.delete(machine);
    if (++done === jobs.length) finish();
  };
  const consumer = createConsumer(broker, queue, worker, {
    concurrency: WORKERS,
    key: (pair) => pair.map(String),
  });
  await consumer.start();
  await createProducer(broker, queue).sendMany(jobs);
  await finished;
  await consumer.stop();
  await broker.close();
  console.log(
    `both at once, by key: finished with ${done} of ${jobs.length} done, ${clashes} clashes, up to ${most} side by side`,
  );
}

await naive();
await keyed();
