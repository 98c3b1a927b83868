import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { amqpUrl, uniqueName } from './support/broker.js';
import { removeQueues } from './support/remove-queues.js';

const program = fileURLToPath(new URL('touched-files.mjs', import.meta.url));
const prefix = uniqueName('touched');
const folder = mkdtempSync(join(tmpdir(), 'millrace-touched-'));

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await removeQueues(prefix);
});

// How many files a reader has to know to follow a message. DESIGN.md ("The layers") says why it is not fewer.
test.each([
  ['RabbitMQ', amqpUrl, { send: 20, sendAndHandle: 30 }],
  ['disk', () => `local:${folder}`, { send: 25, sendAndHandle: 38 }],
])('the way of a message on %s leads through few files', async (_name, address, most) => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, address(), prefix]);
  const files: { send: string[]; sendAndHandle: string[] } = JSON.parse(stdout);
  expect(files.send).toContain('producer/sender.js');
  expect(files.sendAndHandle).toContain('consumer/dispatcher.js');
  expect(files.send.length, files.send.join('\n')).toBeLessThanOrEqual(most.send);
  expect(files.sendAndHandle.length, files.sendAndHandle.join('\n')).toBeLessThanOrEqual(most.sendAndHandle);
});
