import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../src/broker.js';
import { connect } from '../../src/connect.js';
import { defineQueue } from '../../src/queue.js';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { Inbox } from '../support/inbox.js';
import { removeQueues } from '../support/remove-queues.js';

const SENDER = fileURLToPath(new URL('processes/delayed-sender.mjs', import.meta.url));
const DELAY_MS = 4000;

async function addressOf(backend: 'local' | 'amqp', prefix: string): Promise<string> {
  if (backend === 'amqp') {
    onTestFinished(() => removeQueues(prefix));
    return amqpUrl();
  }
  const folder = await mkdtemp(join(tmpdir(), 'millrace-later-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return `local:${folder}`;
}

test.each(['local', 'amqp'] as const)(
  'a sender is killed before its messages are due: those that were parked arrive, once and in order (%s)',
  async (backend) => {
    const name = uniqueName('later-killed');
    const address = await addressOf(backend, name);
    const sender = spawn(process.execPath, [SENDER, address, name, String(DELAY_MS)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void sender.kill('SIGKILL'));
    const parked: string[] = [];
    for await (const id of createInterface({ input: sender.stdout })) {
      parked.push(id);
      if (parked.length === 20) sender.kill('SIGKILL');
    }
    if (sender.exitCode === null && sender.signalCode === null) await once(sender, 'exit');

    await using broker = (await connect(address)) as Backend;
    await broker.declare(defineQueue(name, z.string()).spec);
    const inbox = await Inbox.open(broker, name, { prefetch: 2000 });
    const arrived = await inbox.ackNext(parked.length);
    // The one after the last that was reported may have been parked, too; RabbitMQ rounds up to whole seconds.
    expect(arrived).toEqual(parked);
    expect(inbox.deliveries.every(({ redelivered, attempt }) => !redelivered && attempt === 1)).toBe(true);
  },
);
