import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../../src/connect.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { removeQueues } from '../support/remove-queues.js';

const WORKER = fileURLToPath(new URL('processes/worker.mjs', import.meta.url));
const prefix = uniqueName('batch-killed');
const started: ChildProcess[] = [];
let folder: string | undefined;

afterAll(async () => {
  for (const child of started) child.kill('SIGKILL');
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  await removeQueues(prefix);
});

interface Seen {
  readonly value: string;
  readonly attempt: number;
  readonly redelivered: boolean;
}

async function* batchesOf(child: ChildProcess): AsyncGenerator<Seen[]> {
  if (child.stdout === null) return;
  for await (const line of createInterface({ input: child.stdout })) yield JSON.parse(line) as Seen[];
}

function startWorker(address: string, queue: string, mode: 'hang' | 'handle'): ChildProcess {
  const child = spawn(process.execPath, [WORKER, address, queue, mode], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  return child;
}

async function addressOf(backend: 'local' | 'amqp'): Promise<string> {
  if (backend === 'amqp') return amqpUrl();
  folder = await mkdtemp(join(tmpdir(), 'millrace-batches-'));
  return `local:${folder}`;
}

test.each(['local', 'amqp'] as const)(
  'a process that is killed in the middle of a batch has acknowledged none of it (%s)',
  async (backend) => {
    const address = await addressOf(backend);
    const broker = await connect(address);
    const queue = defineQueue(`${prefix}-${backend}`, z.string());
    const texts = Array.from({ length: 25 }, (_, index) => `m${index}`);
    await createProducer(broker, queue).sendMany(texts);

    const victim = startWorker(address, queue.name, 'hang');
    const first = (await batchesOf(victim).next()).value as Seen[];
    expect(first.map(({ value }) => value)).toEqual(texts.slice(0, 10));
    victim.kill('SIGKILL');
    await once(victim, 'exit');

    const other = startWorker(address, queue.name, 'handle');
    const handled: Seen[] = [];
    for await (const batch of batchesOf(other)) {
      handled.push(...batch);
      if (handled.length >= texts.length) break;
    }
    expect(handled.map(({ value }) => value).sort()).toEqual([...texts].sort());
    for (const { value } of first) {
      expect(handled.find((seen) => seen.value === value)).toMatchObject({ redelivered: true });
    }
    other.kill('SIGTERM');
    await broker.close();
  },
);
