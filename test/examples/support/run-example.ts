import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';

const RUNNER = fileURLToPath(new URL('../../../scripts/run-example.mjs', import.meta.url));

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** An example, running in a process of its own as `npm run example -- NAME …` runs it. */
export class Example {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  readonly #closed: Promise<unknown>;

  /** What `stdin` gives is all of its input; `'open'` leaves that to the test. */
  constructor(...all: readonly string[] | [{ readonly stdin: string }, ...string[]]) {
    const [first, ...rest] = all;
    const { stdin, args } =
      typeof first === 'object' ? { stdin: first.stdin, args: rest } : { stdin: undefined, args: all };
    this.child = spawn(process.execPath, [RUNNER, ...(args as readonly string[])], {
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    if (stdin !== 'open') this.child.stdin?.end(stdin);
    running.add(this.child);
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.#closed = once(this.child, 'close').finally(() => running.delete(this.child));
  }

  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1);
  }

  /** The exit code, or the signal that ended it. */
  async exit(): Promise<number | NodeJS.Signals | null> {
    await this.#closed;
    return this.child.exitCode ?? this.child.signalCode;
  }

  /** The first match in what it prints, as soon as it is there. Rejects when the example ends without it. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    let ended = false;
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match !== null) return match;
      if (ended) throw new Error(`ended without ${pattern}: ${this.stdout}${this.stderr}`);
      const closed = this.#closed.then(() => true);
      ended = await Promise.race([once(this.child.stdout ?? this.child, 'data').then(() => false), closed]);
    }
  }
}

/** Runs an example to its end and gives the lines that it printed. Rejects unless it ended well and silently. */
export async function linesOf(...args: string[]): Promise<string[]> {
  const example = new Example(...args);
  const exitCode = await example.exit();
  if (exitCode !== 0 || example.stderr !== '') {
    throw new Error(`${args.join(' ')} ended with ${exitCode}: ${example.stdout}${example.stderr}`);
  }
  return example.lines;
}
