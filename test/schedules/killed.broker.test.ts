import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../src/broker.js';
import { connect } from '../../src/connect.js';
import { defineQueue } from '../../src/queue.js';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { Inbox } from '../support/inbox.js';
import { removeQueues } from '../support/remove-queues.js';

const SCHEDULER = fileURLToPath(new URL('processes/scheduler.mjs', import.meta.url));
const EVERY_MS = 100;
const KILLS = 6;

const prefix = uniqueName('schedule-killed');
const started = new Set<ChildProcess>();
let folder: string | undefined;

afterAll(async () => {
  for (const child of started) child.kill('SIGKILL');
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  await removeQueues(prefix);
});

/** A scheduler in a process of its own, and whether it has sent something. */
class SchedulerProcess {
  readonly child: ChildProcess;
  sent = 0;

  constructor(address: string, name: string) {
    this.child = spawn(process.execPath, [SCHEDULER, address, name, String(EVERY_MS)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    started.add(this.child);
    const lines = createInterface({ input: this.child.stdout as NonNullable<ChildProcess['stdout']> });
    lines.on('line', (line) => {
      if (line === 'sent') this.sent++;
    });
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
    started.delete(this.child);
  }
}

async function addressOf(backend: 'local' | 'amqp'): Promise<string> {
  if (backend === 'amqp') return amqpUrl();
  folder = await mkdtemp(join(tmpdir(), 'millrace-schedules-'));
  return `local:${folder}`;
}

test.each(['local', 'amqp'] as const)(
  'schedulers are killed over and over, the one that sends among them, and no tick is missing (%s)',
  async (backend) => {
    const address = await addressOf(backend);
    const name = `${prefix}-${backend}`;
    const broker = (await connect(address)) as Backend;
    await broker.declare(defineQueue(name, z.string()).spec);
    const inbox = await Inbox.open(broker, name, { prefetch: 2000 });
    const schedulers = [new SchedulerProcess(address, name), new SchedulerProcess(address, name)];
    for (let kill = 0; kill < KILLS; kill++) {
      // On RabbitMQ one of them sends, on disk both do.
      const sender = await eventually(() => schedulers.find(({ sent }) => sent >= 3) ?? false);
      const index = schedulers.indexOf(sender);
      await sender.kill();
      schedulers[index] = new SchedulerProcess(address, name);
    }
    await eventually(() => schedulers.some(({ sent }) => sent >= 3));
    await Promise.all(schedulers.map((scheduler) => scheduler.kill()));

    const ids = inbox.deliveries.map(({ message: { id } }) => id);
    const times = [...new Set(ids)].map((id) => Date.parse(id.slice(`schedule:${name}:`.length)));
    const sorted = times.sort((one, other) => one - other);
    expect(sorted).toEqual(sorted.map((_, position) => (sorted[0] as number) + position * EVERY_MS));
    // Twice only over a death between the message and the progress, which on disk are one.
    const twice = ids.length - new Set(ids).size;
    expect(twice).toBeLessThanOrEqual(backend === 'local' ? 0 : KILLS + 1);
    await broker.close();
  },
);
