/** Builds the package where its sources and their compiler are: in a clone, and in one that npm makes of a git dependency. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const root = new URL('..', import.meta.url);
const has = (/** @type {string} */ path) => existsSync(new URL(path, root));

if (has('src/index.ts') && has('node_modules/typescript/bin/tsc')) {
  const { status } = spawnSync('npm run build --silent', { cwd: root, shell: true, stdio: 'inherit' });
  process.exitCode = status ?? 1;
}
