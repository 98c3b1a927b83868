import { spawnSync } from 'node:child_process';
import { test } from 'vitest';
import { newFolder } from '../local-queue/disk/folders.js';
import { runLedger } from '../local-queue/disk/several-processes/ledger.js';
import { isFull } from './size.js';

/** As a container has it: its first process, of which it sees no other, and that ends with its starter. */
const CONTAINER = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child=SIGKILL'];
const [command = '', ...words] = [...CONTAINER, 'true'];
const hasNamespaces = spawnSync(command, words).status === 0;

const durationMs = isFull ? 600_000 : 10_000;

// Each process has the number 1. Where one is dead can't be seen from the others, so its lease has to run out.
test.skipIf(!hasNamespaces)(
  'containers that share a folder, killed at random: nothing is lost, and nobody has an error',
  { timeout: durationMs * 2 + 300_000 },
  async () => {
    await runLedger({
      folder: newFolder(),
      messages: 1000,
      kills: 5,
      launcher: CONTAINER,
      each: 2,
      leaseMs: 2000,
      durationMs,
    });
  },
);
