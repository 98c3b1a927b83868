import { readFileSync, readlinkSync } from 'node:fs';

/** What tells a thread of a process from every other that ever has its number. Empty where the system does not say (not Linux). */
export interface ProcessIdentity {
  readonly pid: number;
  /** The system's number of the thread. */
  readonly thread: string;
  /** When the thread began, in the kernel's own unit. */
  readonly started: string;
  /** Numbers of processes mean something within one namespace only: each container has its own. */
  readonly namespace: string;
  /** Changes with every start of the machine. */
  readonly boot: string;
}

/** Of the thread that calls it. */
export function ownIdentity(): ProcessIdentity {
  // <pid>/task/<tid>
  const thread = orEmpty(() => readlinkSync('/proc/thread-self')).split('/')[2] ?? '';
  return {
    pid: process.pid,
    thread,
    started: threadState(process.pid, thread)?.started ?? '',
    namespace: orEmpty(() => readlinkSync('/proc/self/ns/pid')),
    boot: orEmpty(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
  };
}

/** Whether the thread is certainly gone. Where that can't be known, false: its lease has to run out then. */
export function isGone(other: ProcessIdentity, self: ProcessIdentity): boolean {
  if (other.boot !== self.boot) return true;
  if (other.namespace !== self.namespace) return false;
  if (self.started === '' || other.started === '') return !exists(other.pid);
  const state = threadState(other.pid, other.thread);
  return state === undefined || state.dead || state.started !== other.started;
}

/**
 * Milliseconds on a clock that all processes of one boot share and that nobody can set. It stands still while the
 * machine sleeps, as the leases do.
 */
export function bootClock(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

function threadState(
  pid: number,
  thread: string,
): { readonly started: string; readonly dead: boolean } | undefined {
  const text = orEmpty(() => readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1'));
  if (text === '') return undefined;
  // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // A zombie has ended, and only its parent has not noticed.
  return { started: fields[19] ?? '', dead: fields[0] === 'Z' || fields[0] === 'X' };
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
