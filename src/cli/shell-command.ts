import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { onAbort } from '../common/limits.js';
import type { HandlerContext } from '../consumer/consumer.js';

/** How long a command may take to clean up after the TERM that ends it; then it is killed. */
const GRACE_MS = 5000;

export interface ShellCommand {
  /** Runs the command with the body on its standard input. Resolves when it exits 0, else rejects. */
  handle(body: Uint8Array, context: HandlerContext): Promise<void>;
  /** Ends the runs that are still under way, and resolves when they are over. */
  end(): Promise<void>;
}

/**
 * A shell command as the handler of messages. It is told MILLRACE_ID, MILLRACE_ATTEMPT and MILLRACE_QUEUE; its output
 * goes where ours goes.
 */
export function shellCommand(command: string): ShellCommand {
  const running = new Set<ChildProcess>();

  return {
    async handle(body, { id, attempt, queue, signal }) {
      const child = spawn(command, {
        shell: true,
        // A process group of its own: the Ctrl-C that asks us to finish our work must not end that work, and what
        // the shell has started ends with it.
        detached: true,
        stdio: ['pipe', 'inherit', 'inherit'],
        env: { ...process.env, MILLRACE_ID: id, MILLRACE_ATTEMPT: String(attempt), MILLRACE_QUEUE: queue },
      });
      running.add(child);
      const unlisten = onAbort(signal, () => terminate(child));
      try {
        // A command need not read its input: EPIPE is no failure.
        child.stdin?.on('error', () => {}).end(body);
        const [code, by] = await exit(child);
        if (code !== 0)
          throw new Error(by === null ? `the command exited with ${code}` : `the command was ended by ${by}`);
      } finally {
        running.delete(child);
        unlisten();
      }
    },

    async end() {
      await Promise.all(
        [...running].map(async (child) => {
          terminate(child);
          await exit(child).catch(() => {});
        }),
      );
    },
  };
}

async function exit(child: ChildProcess): Promise<readonly [code: number | null, by: NodeJS.Signals | null]> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return [child.exitCode, child.signalCode];
}

function terminate(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  killGroup(child, 'SIGTERM');
  const timer = setTimeout(() => killGroup(child, 'SIGKILL'), GRACE_MS);
  child.once('exit', () => clearTimeout(timer));
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
