import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openDiskBroker } from '../../../src/local-queue/disk/disk-broker.js';
import { newFolder } from './folders.js';

const SCRIPT = fileURLToPath(new URL('./processes/exits-while-sending.mjs', import.meta.url));

test('process.exit() in the middle of sending ends the process, and leaves a store that works', async () => {
  const folder = newFolder();
  for (const milliseconds of [20, 50, 90, 140, 200, 270]) {
    const child = spawn(process.execPath, [SCRIPT, folder, String(milliseconds)], {
      stdio: 'ignore',
      // Ends what hangs, so that the test fails by its result.
      timeout: 10_000,
      killSignal: 'SIGKILL',
    });
    expect(await once(child, 'exit')).toEqual([7, null]);
  }
  const broker = await openDiskBroker(folder);
  expect((await broker.inspect('numbers')).ready).toBeGreaterThan(0);
  await broker.close();
}, 90_000);
