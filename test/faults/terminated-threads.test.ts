import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { openDiskBroker } from '../../src/local-queue/disk/broker.js';
import { hasBuiltinSqlite } from '../../src/local-queue/disk/store/sqlite.js';
import { newFolder } from '../local-queue/disk/folders.js';
import { isFull } from './size.js';

const script = (name: string) =>
  fileURLToPath(new URL(`../local-queue/disk/processes/${name}`, import.meta.url));
const seconds = isFull ? 600 : 10;

/** How to start a Node: this one, and in full the oldest that has SQLite, and each line. */
const nodes: [string, string[]][] = isFull
  ? ['22.13.0', '22', '24', '26'].map((line) => [
      `Node ${line}`,
      ['npx', '--yes', '-p', `node@${line}`, '--', 'node'],
    ])
  : [['this Node', [process.execPath]]];

test.skipIf(!isFull && !hasBuiltinSqlite).each(nodes)(
  'threads that are terminated while they use a folder harm nobody (%s)',
  { timeout: seconds * 2000 + 300_000 },
  async (_name, [command = '', ...words]) => {
    const folder = newFolder();
    const child = spawn(command, [...words, script('thread-host.mjs'), folder, String(seconds)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [[code], stdout, stderr] = await Promise.all([
      once(child, 'exit'),
      text(child.stdout),
      text(child.stderr),
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ lost: [], invented: [], unmarked: [], failures: [] });
    // Nobody is locked out.
    const broker = await openDiskBroker(folder);
    expect((await broker.inspect('ledger')).ready).toBe(0);
    await broker.close();
  },
);

test.skipIf(hasBuiltinSqlite)('a thread is refused where its end would be that of the process', async () => {
  const folder = newFolder();
  const thread = new Worker(script('thread-actor.mjs'), {
    workerData: { folder, name: 'a', role: 'sender' },
  });
  const [error] = await once(thread, 'error');
  expect(error).toMatchObject({ code: 'STORAGE_ERROR', message: expect.stringContaining('Node 22') });
});
