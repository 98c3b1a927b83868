/** The end of the demo: sends a message from one process to another through a queue on disk. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CommandError, EXIT } from '../../exit-code.js';
import { wrap } from '../../layout.js';
import type { Output } from '../../output.js';

const BIN = fileURLToPath(new URL('../../bin.js', import.meta.url));
const TIME_LIMIT_MS = 20_000;

const INTRODUCTION = `
It also works between processes, without a server: all terminals share queues on this machine's disk.
`;

export async function showHello(output: Output, signal: AbortSignal): Promise<void> {
  // A temporary folder, so that the demo does not take the user's own messages.
  const folder = await mkdtemp(join(tmpdir(), 'millrace-demo-'));
  try {
    await output.block(wrap(INTRODUCTION, output.columns));
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
    await output.block(`  $ millrace ${shown}\n ${stdout.trimEnd()}`);
  } catch (error) {
    if (signal.aborted) return;
    const { stderr = '' } = error as { readonly stderr?: string };
    throw new CommandError(EXIT.failed, `millrace ${shown}: ${stderr.trim()}`, { cause: error });
  }
}
