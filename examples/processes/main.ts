/** A producer and two consumers, each in its own process; one of the consumers hangs, and is killed. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createProducer, receive } from 'millrace';
import { backendOf } from 'millrace/backend';
import { startProgram } from '../start-program.ts';
import { queuesOf } from './queues.ts';

const JOBS = 40;

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u' },
    prefix: { type: 'string', default: 'processes' },
  },
});
const { jobs, results, control } = queuesOf(values.prefix);
const folder = values.url === undefined ? await mkdtemp(join(tmpdir(), 'processes-')) : undefined;
const url = values.url ?? `local:${folder}`;
const start = (program: string, ...args: string[]) =>
  startProgram(import.meta.url, program, ['-u', url, '--prefix', values.prefix, ...args]);

const broker = await connect(url);
for (const queue of [jobs, results, control]) {
  await backendOf(broker).declare(queue.spec);
  await broker.purge(queue.name); // what an earlier run may have left
}
const [ann, ben] = [
  start('./consumer', '--name', 'Ann', '--hang-at', '2'),
  start('./consumer', '--name', 'Ben'),
];
while ((await broker.inspect(jobs.name)).consumers < 2) await delay(20);
const producer = start('./producer', '--jobs', String(JOBS));
await createProducer(broker, control).send({ pauseMs: 1 }); // for the producer's background consumer

const doneBy = new Map<number, string>();
for await (const result of receive(broker, results, { prefetch: 20 })) {
  const { job, worker } = result.value;
  doneBy.set(job, worker); // a job that was done twice counts once
  result.ack();
  if (doneBy.size === JOBS - 1) ann.kill('SIGKILL'); // she still holds the last one
  if (doneBy.size === JOBS) break;
}

if (producer.exitCode === null) await once(producer, 'exit'); // it ends although its background consumer is still running
const ended = once(ben, 'exit');
ben.kill('SIGTERM');
await ended;
const byBen = [...doneBy.values()].filter((worker) => worker === 'Ben').length;
console.log(
  `${doneBy.size} jobs done, ${byBen > JOBS / 2 ? 'most of them' : byBen} by Ben${ann.killed ? '; Ann was killed' : ''}`,
);

await broker.close();
if (folder !== undefined) await rm(folder, { recursive: true });
