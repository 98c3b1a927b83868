import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { newFolder } from '../folders.js';
import { runLedger } from './ledger.js';

/** Each brings an SQLite of its own. `npm run test:versions` names them. */
const versions = process.env.LEDGER_NODES?.split(' ') ?? [];

test.skipIf(versions.length === 0)(
  `processes of several versions of Node share a folder under kills (this one, ${versions.join(', ') || 'LEDGER_NODES names no other'})`,
  { timeout: 300_000 },
  async () => {
    const nodes = [process.execPath, ...versions.map(pathOf)];
    await runLedger({ folder: newFolder(), messages: 5000, kills: 10, nodes, each: 3 });
  },
);

function pathOf(version: string): string {
  const words = ['--yes', '-p', `node@${version}`, '--', 'node', '-p', 'process.execPath'];
  const { stdout, stderr } = spawnSync('npx', words, { encoding: 'utf8' });
  const path = stdout.trim();
  expect(path, stderr).toMatch(/node/);
  return path;
}
