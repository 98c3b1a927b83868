import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * Tells one process from all others that had or will have its id, as far as the system lets us: on Linux by the
 * boot and the tick it started at, elsewhere by the id alone. Undefined when no such process runs.
 */
export function processIdentity(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, under another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
  }
  return `${hostname()}/${pid}/${startOf(pid)}`;
}

function startOf(pid: number): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold blanks; the start is the 22nd field.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return `${boot}/${ticks}`;
  } catch {
    return 'unknown';
  }
}
