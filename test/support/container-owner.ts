import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { run } from './command.js';
import { processIdentity } from './process-identity.js';

/** Every container of a test run carries the identity of the run's main process. */
export const OWNER_LABEL = 'millrace.test-run';

export function ownerOfThisRun(): string {
  return processIdentity(process.pid) ?? String(process.pid);
}

/** Removes the containers of earlier test runs on this machine that were killed before they could do it. */
export async function removeLeftovers(report: (line: string) => void): Promise<void> {
  const format = `{{.ID}} {{.Label "${OWNER_LABEL}"}}`;
  for (const line of await list(['--filter', `label=${OWNER_LABEL}`, '--format', format])) {
    const [id = '', owner = ''] = line.split(' ');
    const [host, pid] = owner.split('/');
    // The engine may serve other machines too; whether a process runs there can't be seen from here.
    if (host !== hostname() || processIdentity(Number(pid)) === owner) continue;
    report(`removing ${id}, which a test run left behind that is over`);
    await remove([id]);
  }
}

/** Removes what a test file has left running, because its process ended before its hooks could. */
export async function removeContainersOf(owner: string): Promise<void> {
  const ids = await list(['--quiet', '--filter', `label=${OWNER_LABEL}=${owner}`]);
  if (ids.length > 0) await remove(ids);
}

/** A run that is interrupted ends at once and without its teardown, and not every machine has a reaper. */
export function removeContainersOnSignal(owner: string): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      // In a process of its own, so that nobody has to wait for it.
      const command = `docker ps --all --quiet --filter 'label=${OWNER_LABEL}=${owner}' | xargs -r docker rm -fv`;
      spawn('sh', ['-c', command], { detached: true, stdio: 'ignore' }).unref();
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  }
}

async function list(args: string[]): Promise<string[]> {
  const { stdout } = await run('docker', ['ps', '--all', ...args], { timeoutMs: 20_000 });
  return stdout.split('\n').filter(Boolean);
}

async function remove(ids: string[]): Promise<void> {
  await run('docker', ['rm', '--force', '--volumes', ...ids], { timeoutMs: 30_000 });
}
