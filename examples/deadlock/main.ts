/** Ten thousand jobs, each of which needs two of twenty machines at once, named in any order. */
import { setImmediate as turn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createProducer, defineQueue, isQueueError, LocalQueue } from 'millrace';
import { z } from 'zod';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'deadlock' },
  },
});

const MACHINES = 20;
const WORKERS = 50;
type Pair = [first: number, second: number];
const jobs = Array.from({ length: 10_000 }, (): Pair => {
  const first = Math.floor(Math.random() * MACHINES);
  return [first, (first + 1 + Math.floor(Math.random() * (MACHINES - 1))) % MACHINES];
});

/** Each machine is a lock: a queue with one item. A worker that has one and waits for another may wait for ever. */
async function naive(): Promise<void> {
  const locks = Array.from({ length: MACHINES }, () => new LocalQueue<string>({ capacity: 1 }));
  for (const lock of locks) lock.tryPut('key');
  const line = jobs.values();
  let done = 0;

  async function worker(): Promise<void> {
    for (const [first, second] of line) {
      await locks[first]?.take({ timeoutMs: 500 }); // without this limit the program would hang
      await turn();
      await locks[second]?.take({ timeoutMs: 500 });
      done++;
      locks[second]?.tryPut('key');
      locks[first]?.tryPut('key');
    }
  }

  const ends = await Promise.allSettled(Array.from({ length: WORKERS }, worker));
  const isStuck = ends.some((end) => end.status === 'rejected' && isQueueError(end.reason, 'TIMEOUT'));
  console.log(
    `one lock after the other: ${isStuck ? 'locked up' : 'finished'} with ${done} of ${jobs.length} done`,
  );
}

/** The consumer starts a job when all of its keys are free, and acquires them all at once. */
async function keyed(): Promise<void> {
  const queue = defineQueue(`${values.prefix}.jobs`, z.tuple([z.number(), z.number()]));
  const broker = await connect(values.url);
  const busy = new Set<number>();
  let [done, clashes, most] = [0, 0, 0];
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });

  const worker = async (machines: Pair) => {
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
