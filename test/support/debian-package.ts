import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Whether a program runs to its end without an error. */
export function succeeds(command: string, ...args: string[]): Promise<boolean> {
  return execute(command, args, { timeout: 60_000 }).then(
    () => true,
    () => false,
  );
}

/**
 * Why a test can't use what `packageName` of Debian brings along; undefined: it can. The package is installed where that
 * needs no password, as on a CI machine; nobody's computer is changed otherwise.
 */
export async function missingPackage(
  packageName: string,
  isThere: () => Promise<boolean>,
): Promise<string | undefined> {
  if (await isThere()) return undefined;
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return `${packageName} is not installed`;
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  // Other test files may be installing something, too.
  const waits = ['-o', 'DPkg::Lock::Timeout=120'];
  const install = [...waits, '-y', '--no-install-recommends', 'install', packageName];
  await execute('apt-get', install, options).catch(async () => {
    await execute('apt-get', [...waits, 'update'], options).catch(() => {});
    await execute('apt-get', install, options).catch(() => {});
  });
  return (await isThere()) ? undefined : `${packageName} can’t be installed`;
}
