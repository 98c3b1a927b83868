import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface CommandResult {
  /** Null when the command was ended by a signal, or could not be started at all. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly timeoutMs: number;
  /** Show what the command writes on standard error while it runs, instead of collecting it. */
  readonly showProgress?: boolean;
  /** Called with every piece of standard output. */
  readonly onOutput?: () => void;
  readonly signal?: AbortSignal;
}

/** Runs a command to its end, without a shell and without standard input. Never rejects. */
export function run(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const limit = AbortSignal.timeout(options.timeoutMs);
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', options.showProgress ? 'inherit' : 'pipe'],
      signal: options.signal ? AbortSignal.any([options.signal, limit]) : limit,
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      options.onOutput?.();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', (error) => resolve({ exitCode: null, stdout, stderr: stderr || error.message }));
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

/** Runs one of the project's own scripts and shows its progress. */
export function runScript(name: string, timeoutMs: number): Promise<CommandResult> {
  const path = fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));
  return run('bash', [path], { timeoutMs, showProgress: true });
}
