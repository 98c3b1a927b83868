/** Installs what is measured beside millrace, where it is not here yet, and starts the run. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @type {import('node:child_process').StdioOptions} */
const stdio = ['ignore', 'inherit', 'inherit'];
for (const folder of ['./', './disk/']) {
  if (existsSync(new URL(`${folder}node_modules`, import.meta.url))) continue;
  console.error(`Installing the peers into bench/${folder.slice(2)}node_modules.`);
  const cwd = fileURLToPath(new URL(folder, import.meta.url));
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd, stdio });
}
execFileSync('bash', [fileURLToPath(new URL('./disk/install-servers.sh', import.meta.url))], { stdio });
await import('./run.mjs');
