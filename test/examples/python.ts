import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PYTHON = '/usr/bin/python3';
const execute = promisify(execFile);

/** Why the programs of tutorials in Python can't run here; undefined: they can. */
export function noPython(): string | undefined {
  return existsSync(PYTHON) ? undefined : `there is no ${PYTHON}`;
}

/** As `noPython`, for those that need pika. Installs the package of Debian where that is missing and may be done. */
export async function noPika(): Promise<string | undefined> {
  const missing = noPython();
  if (missing !== undefined) return missing;
  const hasPika = () =>
    execute(PYTHON, ['-c', 'import pika']).then(
      () => true,
      () => false,
    );
  if (await hasPika()) return undefined;
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return 'python3-pika is not installed';
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  const install = ['-y', '--no-install-recommends', 'install', 'python3-pika'];
  await execute('apt-get', install, options).catch(async () => {
    await execute('apt-get', ['update'], options).catch(() => {});
    await execute('apt-get', install, options).catch(() => {});
  });
  return (await hasPika()) ? undefined : 'python3-pika can’t be installed';
}

/** Runs a program of test/examples/tutorials to its end, and gives the lines that it printed. */
export async function python(program: string, ...args: string[]): Promise<string[]> {
  const path = fileURLToPath(new URL(`tutorials/${program}`, import.meta.url));
  const { stdout } = await execute(PYTHON, [path, ...args], { timeout: 60_000 });
  return stdout.split('\n').slice(0, -1);
}
