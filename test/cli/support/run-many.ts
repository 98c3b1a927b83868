/** Runs many commands in one process, which costs a fraction of one process each. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The program that runs the commands in the JSON file which it is given. */
export const MANY = fileURLToPath(new URL('run-many.mjs', import.meta.url));

export interface EndedCommand {
  /** What it has written; to standard output, where that is not a terminal. */
  readonly text: string;
  readonly exitCode: number;
}

/** The commands of the output of {@link MANY}. */
export function endedCommands(output: string): EndedCommand[] {
  const ended: EndedCommand[] = [];
  let rest = output;
  for (let end = rest.indexOf('\0'); end >= 0; end = rest.indexOf('\0')) {
    const code = /^\d+/.exec(rest.slice(end + 1))?.[0] ?? '';
    ended.push({ text: rest.slice(0, end).replace(/\r?\n$/, ''), exitCode: Number(code) });
    rest = rest.slice(end + 1 + code.length).replace(/^\r?\n/, '');
  }
  return ended;
}

/** Runs the commands one after another, whether they succeed or not. */
export async function runMany(
  commands: readonly (readonly string[])[],
  env: Readonly<Record<string, string>>,
): Promise<EndedCommand[]> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-many-'));
  try {
    const file = join(folder, 'commands.json');
    writeFileSync(file, JSON.stringify(commands));
    const { stdout } = await promisify(execFile)(process.execPath, [MANY, file], {
      env: { ...process.env, ...env },
    });
    return endedCommands(stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
