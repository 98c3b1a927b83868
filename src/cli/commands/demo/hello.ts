/** The end of the demo: a message from one process to another through the queue on disk, as two terminals do it. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CommandError, EXIT } from '../../exit-code.js';
import type { Output } from '../../output.js';

const BIN = fileURLToPath(new URL('../../bin.js', import.meta.url));
const TIME_LIMIT_MS = 20_000;

const INTRODUCTION = `
The same without a server between processes: queues on this machine's disk, which every terminal shares.
`;

export async function showHello(output: Output, signal: AbortSignal): Promise<void> {
  // A folder of its own: the demo must not take what waits in the user's.
  const folder = await mkdtemp(join(tmpdir(), 'millrace-demo-'));
  try {
    await output.write(`${INTRODUCTION}\n`);
    await show(["send 'Hello World!'", 'send', 'Hello World!'], folder, output, signal);
    await show(['work --count 1', 'work', '--count', '1'], folder, output, signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function show(
  [shown, ...args]: readonly [string, ...string[]],
  folder: string,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const command = [BIN, ...args, '-u', `local:${folder}`];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, command, {
      signal,
      timeout: TIME_LIMIT_MS,
    });
    await output.write(`  $ millrace ${shown}\n ${stdout}`);
  } catch (error) {
    if (signal.aborted) return;
    const { stderr = '' } = error as { readonly stderr?: string };
    throw new CommandError(EXIT.failed, `millrace ${shown}: ${stderr.trim()}`, { cause: error });
  }
}
