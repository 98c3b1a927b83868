import { spawn } from 'node:child_process';
import { hostname } from 'node:os';
import { run } from '../command.js';
import { processIdentity } from '../process-identity.js';

/** Every container and network of a test run carries the identity of the run's main process. */
export const OWNER_LABEL = 'millrace.test-run';

export function ownerOfThisRun(): string {
  return processIdentity(process.pid) ?? String(process.pid);
}

/** Removes what earlier test runs on this machine have left that were killed before they could do it. */
export async function removeLeftovers(report: (line: string) => void): Promise<void> {
  for (const { kind, id, owner } of [...(await labelled('container')), ...(await labelled('network'))]) {
    const [host, pid] = owner.split('/');
    // The engine may serve other machines too; whether a process runs there can't be seen from here.
    if (host !== hostname() || processIdentity(Number(pid)) === owner) continue;
    report(`removing the ${kind} ${id}, which a test run left behind that is over`);
    await remove(kind, [id]);
  }
}

/** Removes what a test file has left running, because its process ended before its hooks could. */
export async function removeContainersOf(owner: string): Promise<void> {
  // In this order: a network that is in use can't be removed.
  for (const kind of ['container', 'network'] as const) {
    const ids = (await labelled(kind, owner)).map(({ id }) => id);
    if (ids.length > 0) await remove(kind, ids);
  }
}

/** A run that is interrupted ends at once and without its teardown, and not every machine has a reaper. */
export function removeContainersOnSignal(owner: string): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      // In a process of its own, so that nobody has to wait for it.
      const filter = `--quiet --filter 'label=${OWNER_LABEL}=${owner}'`;
      const command = `docker ps --all ${filter} | xargs -r docker rm -fv; docker network ls ${filter} | xargs -r docker network rm`;
      spawn('sh', ['-c', command], { detached: true, stdio: 'ignore' }).unref();
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    });
  }
}

type Kind = 'container' | 'network';

interface Labelled {
  readonly kind: Kind;
  readonly id: string;
  readonly owner: string;
}

/** What carries the label, of that owner or of anybody. */
async function labelled(kind: Kind, owner?: string): Promise<Labelled[]> {
  const list = kind === 'container' ? ['ps', '--all'] : ['network', 'ls'];
  const filter = owner === undefined ? OWNER_LABEL : `${OWNER_LABEL}=${owner}`;
  const format = `{{.ID}} {{.Label "${OWNER_LABEL}"}}`;
  const command = [...list, '--filter', `label=${filter}`, '--format', format];
  const { stdout } = await run('docker', command, { timeoutMs: 20_000 });
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [id = '', itsOwner = ''] = line.split(' ');
      return { kind, id, owner: itsOwner };
    });
}

async function remove(kind: Kind, ids: string[]): Promise<void> {
  const command = kind === 'container' ? ['rm', '--force', '--volumes'] : ['network', 'rm'];
  await run('docker', [...command, ...ids], { timeoutMs: 30_000 });
}
