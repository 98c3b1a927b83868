import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { showHeaders } from '../common/message/headers.js';
import { onAbort, pause } from '../common/waiting/waiting.js';
import type { HandlerContext } from '../consumer/consumer.js';
import type { LabelledBody } from './text-queue.js';

/** How long a command may take to clean up after TERM before it is killed. */
const GRACE_MS = 5000;
const GROUP_CHECK_MS = 20;

interface ShellCommand {
  /** Runs the command with the body on its standard input. Resolves if it exits 0, else rejects. */
  handle(message: LabelledBody, context: HandlerContext): Promise<void>;
  /** Terminates running commands and their child processes, and resolves when they are gone. */
  end(): Promise<void>;
}

/**
 * Handles messages with a shell command. Its environment has the properties of the message, and the variables of
 * `address`; it inherits standard output and standard error.
 */
export function shellCommand(
  command: string,
  address: Readonly<Record<string, string | undefined>> = {},
): ShellCommand {
  const running = new Set<ChildProcess>();
  const terminations = new Set<Promise<void>>();

  const terminate = (child: ChildProcess) => {
    running.delete(child);
    const termination = terminateGroup(child).finally(() => terminations.delete(termination));
    terminations.add(termination);
  };

  return {
    async handle({ body, contentType }, context) {
      const child = spawn(command, {
        shell: true,
        // A separate process group: Ctrl-C must not end the command, which millrace lets finish, and the group can be
        // terminated together with everything that the shell starts.
        detached: true,
        stdio: ['pipe', 'inherit', 'inherit'],
        env: { ...process.env, ...address, ...variablesOf(contentType, context) },
      });
      running.add(child);
      const unlisten = onAbort(context.signal, () => terminate(child));
      try {
        // The command need not read its input, so EPIPE is not a failure.
        child.stdin?.on('error', () => {}).end(body);
        const [code, by] = await exit(child);
        if (code !== 0)
          throw new Error(
            by === null ? `the command exited with ${code}` : `the command was killed by ${by}`,
          );
      } finally {
        running.delete(child);
        unlisten();
      }
    },

    async end() {
      for (const child of running) terminate(child);
      await Promise.all(terminations);
    },
  };
}

/** Linux limits an environment variable to 128 KiB. */
const MAX_VARIABLE_LENGTH = 64 * 1024;

/** Values from the sender may be missing, too long for a variable, or contain NUL, which would end the value. */
function variablesOf(
  contentType: string,
  context: HandlerContext,
): Readonly<Record<string, string | undefined>> {
  const { id, attempt, queue, exchange, routingKey, redelivered, headers, timestamp } = context;
  const { type, appId, correlationId, replyTo } = context;
  const variables = {
    ID: id,
    ATTEMPT: String(attempt),
    QUEUE: queue,
    EXCHANGE: exchange,
    ROUTING_KEY: routingKey,
    REDELIVERED: String(redelivered),
    HEADERS: JSON.stringify(showHeaders(headers)),
    CONTENT_TYPE: contentType,
    TIMESTAMP: timestamp?.toString(),
    TYPE: type,
    APP_ID: appId,
    CORRELATION_ID: correlationId,
    REPLY_TO: replyTo,
  };
  const entries = Object.entries(variables).map(([name, value]) => {
    const isShort = value !== undefined && value.length <= MAX_VARIABLE_LENGTH;
    return [`MILLRACE_${name}`, isShort ? value.replaceAll('\0', '') : undefined];
  });
  return Object.fromEntries(entries);
}

async function exit(child: ChildProcess): Promise<readonly [code: number | null, by: NodeJS.Signals | null]> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return [child.exitCode, child.signalCode];
}

/** The shell may exit at TERM before its child processes do, so this waits until the whole group is gone. */
async function terminateGroup({ pid }: ChildProcess): Promise<void> {
  if (pid === undefined) return;
  const deadline = performance.now() + GRACE_MS;
  let isThere = signalGroup(pid, 'SIGTERM');
  while (isThere && performance.now() < deadline) {
    await pause(GROUP_CHECK_MS, undefined, { keepAlive: true });
    isThere = signalGroup(pid, 0);
  }
  if (isThere) signalGroup(pid, 'SIGKILL');
}

/** False if the group has no processes left. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
