import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, type TestContext, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../../../src/connect.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { eventually } from '../../support/eventually.js';

const WORKER = fileURLToPath(new URL('processes/rated-worker.mjs', import.meta.url));
const queue = defineQueue('calls', z.string());

interface Begun {
  readonly atMs: number;
  readonly value: string;
  readonly worker: number;
}

/** On the clock that all processes share. */
function nowMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** Clocks may differ by a fraction of a millisecond. */
const CLOCK_GRAIN_MS = 1;

/** Three processes, and what they have begun. */
async function threeWorkers(
  { onTestFinished }: TestContext,
  texts: readonly string[],
  { limit, perMs, keyed = false }: { limit: number; perMs: number; keyed?: boolean },
) {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-rate-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const address = `local:${folder}`;
  const broker = await connect(address);
  onTestFinished(() => broker.close());
  await createProducer(broker, queue).sendMany(texts);
  const begun: Begun[] = [];
  const startedMs = nowMs();
  const workers = [0, 1, 2].map((worker): ChildProcess => {
    const args = [WORKER, address, queue.name, String(limit), String(perMs), keyed ? 'keyed' : 'whole'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(async () => {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [at, value = ''] = line.split(' ');
      begun.push({ atMs: Number(at) / 1000, value, worker });
    });
    return child;
  });
  return { broker, begun, workers, startedMs };
}

/** When the last handler began. Its start was counted before, however long a busy machine then took to begin it. */
function lastAt(begun: readonly Begun[]): number {
  return Math.max(...begun.map(({ atMs }) => atMs));
}

test.concurrent('three processes share a rate: never more than the limit begin, and all are handled', async (t) => {
  const texts = Array.from({ length: 16 }, (_, n) => `m${n}`);
  const { begun, startedMs } = await threeWorkers(t, texts, { limit: 4, perMs: 1500 });
  await eventually(() => begun.length === texts.length);
  expect(new Set(begun.map(({ value }) => value)).size).toBe(texts.length);
  expect(lastAt(begun) - startedMs).toBeGreaterThanOrEqual(3 * 1500 - CLOCK_GRAIN_MS);
});

test.concurrent('each key has a rate of its own, over all processes', async (t) => {
  const texts = ['a', 'b'].flatMap((key) => Array.from({ length: 6 }, (_, n) => `${key}${n}`));
  const { begun, startedMs } = await threeWorkers(t, texts, { limit: 2, perMs: 1500, keyed: true });
  await eventually(() => begun.length === texts.length);
  for (const key of ['a', 'b']) {
    const own = begun.filter(({ value }) => value.startsWith(key));
    expect(lastAt(own) - startedMs).toBeGreaterThanOrEqual(2 * 1500 - CLOCK_GRAIN_MS);
  }
});

test.concurrent('a process that is killed again and again keeps nothing back from the others', async (t) => {
  const texts = Array.from({ length: 24 }, (_, n) => `m${n}`);
  const { begun, workers, startedMs } = await threeWorkers(t, texts, { limit: 6, perMs: 1500 });
  await eventually(() => begun.length >= 6);
  workers[0]?.kill('SIGKILL');
  await eventually(() => begun.length >= 12);
  workers[1]?.kill('SIGKILL');
  // Its unfinished messages are redelivered.
  await eventually(() => new Set(begun.map(({ value }) => value)).size === texts.length);
  expect(lastAt(begun) - startedMs).toBeGreaterThanOrEqual(3 * 1500 - CLOCK_GRAIN_MS);
});
