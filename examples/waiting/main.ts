/** Ten tasks that wait 200 ms each: one after the other, ten at once, and in two worker processes with five at once. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Broker, connect, createConsumer, createRequester } from 'millrace';
import { z } from 'zod';
import { startProgram } from '../start-program.ts';
import { tasksIn, wait } from './tasks.ts';

const TASKS = 10;
const PROCESSES = 2;

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u' },
    prefix: { type: 'string', default: 'waiting' },
  },
});
const tasks = tasksIn(values.prefix);

/** Requests all tasks at once, and prints the time until the last reply. */
async function measure(title: string, broker: Broker): Promise<void> {
  const requester = createRequester(broker, tasks, { reply: z.number() });
  const begin = performance.now();
  await Promise.all(Array.from({ length: TASKS }, (_, task) => requester.request(task)));
  console.log(`${title.padEnd(44)} ${((performance.now() - begin) / 1000).toFixed(2)} s`);
  await requester.close();
}

async function inThisProcess(title: string, concurrency: number): Promise<void> {
  const broker = await connect('local:');
  const consumer = createConsumer(broker, tasks, wait, { concurrency });
  await consumer.start();
  await measure(title, broker);
  await consumer.stop();
  await broker.close();
}

async function inProcesses(title: string): Promise<void> {
  const folder = values.url === undefined ? await mkdtemp(join(tmpdir(), 'waiting-')) : undefined;
  const url = values.url ?? `local:${folder}`;
  const workers = Array.from({ length: PROCESSES }, () =>
    startProgram(import.meta.url, './worker', ['-u', url, '--prefix', values.prefix]),
  );
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const broker = await connect(url);
  await measure(title, broker);
  const ended = workers.map((worker) => once(worker, 'exit'));
  for (const worker of workers) worker.disconnect();
  await Promise.all(ended);
  await broker.close();
  if (folder !== undefined) await rm(folder, { recursive: true });
}

await inThisProcess('one after the other (concurrency: 1)', 1);
await inThisProcess(`${TASKS} at once (concurrency: ${TASKS})`, TASKS);
await inProcesses(`in ${PROCESSES} processes (concurrency: 5 in each)`);
