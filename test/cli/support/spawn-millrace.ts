import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';

const BIN = fileURLToPath(new URL('../../../dist/cli/bin.js', import.meta.url));

/** The developer's own addresses must not get into a test. */
const ADDRESS_VARIABLE = /^(MILLRACE|AMQP|RABBITMQ|CLOUDAMQP)_URL(_FILE)?$/;
/** CI sets one of them. */
const COLOR_VARIABLE = /^(NO_COLOR|FORCE_COLOR)$/;

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

export interface SpawnOptions {
  /**
   * Written to the standard input, which then ends; `{ open: true }` leaves it open for the test to write to. Without it the
   * standard input is empty and no pipe.
   */
  readonly input?: string | Uint8Array | { readonly open: true };
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** The built command, running in a process of its own. */
export class Millrace {
  readonly child: ChildProcess;
  stdout = '';
  /** Besides the line that says which broker it is. */
  stderr = '';
  /** That line, once it is there. */
  brokerLine = '';
  readonly #exited: Promise<unknown>;
  #onText: () => void = () => {};

  constructor(args: readonly string[], { input, env = {}, cwd }: SpawnOptions = {}) {
    const inherited = Object.entries(process.env).filter(
      ([name]) => !ADDRESS_VARIABLE.test(name) && !COLOR_VARIABLE.test(name),
    );
    this.child = spawn(process.execPath, [BIN, ...args], {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: { ...Object.fromEntries(inherited), ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    running.add(this.child);
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#onText();
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.stderr = this.stderr.replace(/^ \[\*\] Broker: .*\n/m, (line) => {
        this.brokerLine = line;
        return '';
      });
      this.#onText();
    });
    // A command that refuses its arguments does not read its input.
    this.child.stdin?.on('error', () => {});
    if (typeof input === 'string' || input instanceof Uint8Array) this.child.stdin?.end(input);
    this.#exited = once(this.child, 'close').finally(() => running.delete(this.child));
  }

  /** The exit code, or the signal that ended it. */
  async exit(): Promise<number | NodeJS.Signals | null> {
    await this.#exited;
    return this.child.exitCode ?? this.child.signalCode;
  }

  /** Resolves when `text` has been written, wherever. Rejects when the command ends without it. */
  async said(text: string | RegExp, times = 1): Promise<void> {
    const isThere = () => `${this.stdout}\n${this.stderr}`.split(text).length > times;
    while (!isThere()) {
      const more = new Promise<void>((resolve) => {
        this.#onText = resolve;
      });
      const ended = await Promise.race([more.then(() => false), this.#exited.then(() => true)]);
      if (ended && !isThere()) {
        throw new Error(
          `millrace ended (${await this.exit()}) without ${text}: ${this.stdout}${this.stderr}`,
        );
      }
    }
  }
}

export interface Ended {
  readonly exitCode: number | NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command to its end. */
export async function millrace(args: readonly string[], options?: SpawnOptions): Promise<Ended> {
  const run = new Millrace(args, options);
  const exitCode = await run.exit();
  return { exitCode, stdout: run.stdout, stderr: run.stderr };
}
