/** A terminal for tests: what a person sees of what a program writes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

const BIN = fileURLToPath(new URL('../../../dist/cli/bin.js', import.meta.url));
const SCRIPT = '/usr/bin/script';

/** Without `script` (util-linux) there is no pseudo-terminal. */
export const hasTerminal = existsSync(SCRIPT);

interface Cell {
  readonly character: string;
  /** The SGR parameter of its color; '' for none. */
  readonly color: string;
}

/** The rows that were written, the ones that scrolled away included. It knows what millrace uses and no more. */
export class Screen {
  readonly #columns: number;
  #rows: Cell[][] = [[]];
  /** The rows of the main screen while a command uses the whole screen. */
  #main: Cell[][] | undefined;
  /** What the last command that used the whole screen showed. */
  frame: string[] = [];
  #row = 0;
  #column = 0;
  #color = '';
  /** Control characters and sequences that it does not know: to a person, garbage. */
  readonly unknown: string[] = [];

  constructor(columns: number) {
    this.#columns = columns;
  }

  write(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal reads them
    for (const [token] of text.matchAll(/\u001b\[[0-9;?]*[A-Za-z]|[\s\S]/gu)) this.#put(token);
  }

  /** The text of each row. */
  get rows(): string[] {
    return this.#rows.map((row) =>
      row
        .map(({ character }) => character)
        .join('')
        .trimEnd(),
    );
  }

  /** The parts of a row that have this color. */
  colored(row: number, color: string): string {
    const cells = this.#rows[row] ?? [];
    return cells.map((cell) => (cell.color === color ? cell.character : '')).join('');
  }

  #put(token: string): void {
    if (token === '\n') this.#lineFeed();
    else if (token === '\r') this.#column = 0;
    else if (token === '\u001b[2K') this.#rows[this.#row] = [];
    else if (token === '\u001b[K') this.#rows[this.#row]?.splice(this.#column);
    else if (token === '\u001b[J') this.#rows.splice(this.#row + 1);
    else if (token === '\u001b[H') this.#goTo(0);
    else if (token === '\u001b[?1049h') this.#enter();
    else if (token === '\u001b[?1049l') this.#leave();
    else if (token === '\u001b[?25l' || token === '\u001b[?25h') return;
    else if (token.startsWith('\u001b[') && token.endsWith('m')) {
      const color = token.slice(2, -1);
      this.#color = color === '0' || color === '39' ? '' : color;
    } else if (/^[\p{Cc}\p{Cf}\u2028\u2029]$/u.test(token) && token !== '\t') this.unknown.push(token);
    else this.#print(token);
  }

  #goTo(row: number): void {
    this.#row = row;
    this.#column = 0;
  }

  #enter(): void {
    this.#main = this.#rows;
    this.#rows = [[]];
    this.#goTo(0);
  }

  #leave(): void {
    this.frame = this.rows;
    this.#rows = this.#main ?? [[]];
    this.#goTo(this.#rows.length - 1);
  }

  #print(character: string): void {
    if (this.#column >= this.#columns) {
      this.#column = 0;
      this.#lineFeed();
    }
    const row = this.#rows[this.#row] ?? [];
    while (row.length < this.#column) row.push({ character: ' ', color: '' });
    row[this.#column++] = { character, color: this.#color };
  }

  #lineFeed(): void {
    this.#row++;
    this.#rows[this.#row] ??= [];
  }
}

export interface TerminalOptions {
  /** The program. Default: the built command. */
  readonly program?: string;
  readonly columns: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Typed when the command asks. */
  readonly input?: string;
}

/** The built command in a pseudo-terminal. */
export class TerminalRun {
  readonly child: ChildProcess;
  /** As it was written. */
  raw = '';
  readonly #columns: number;
  readonly #exited: Promise<unknown>;
  #onText: () => void = () => {};

  constructor(args: readonly string[], { program = BIN, columns, env = {}, cwd, input }: TerminalOptions) {
    this.#columns = columns;
    const command = [process.execPath, program, ...args].map(shellQuoted).join(' ');
    const inherited = { ...process.env };
    for (const name of Object.keys(inherited)) {
      if (/^(NO_COLOR|FORCE_COLOR|CI|((MILLRACE|AMQP|RABBITMQ|CLOUDAMQP)_URL(_FILE)?))$/.test(name))
        delete inherited[name];
    }
    this.child = spawn(SCRIPT, ['-qec', `stty cols ${columns} rows 24; exec ${command}`, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...inherited, TERM: 'xterm-256color', ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const isQuestion = !this.raw.includes('[y/N]') && (this.raw + text).includes('[y/N]');
      this.raw += text;
      if (isQuestion && input !== undefined) this.child.stdin?.write(input);
      this.#onText();
    });
    this.child.stdin?.on('error', () => {});
    this.#exited = once(this.child, 'close');
  }

  /** The screen at this moment. */
  get screen(): Screen {
    const screen = new Screen(this.#columns);
    screen.write(this.raw);
    return screen;
  }

  /** Resolves when the text without its colors is there. */
  async said(text: string | RegExp): Promise<void> {
    const isThere = () => stripVTControlCharacters(this.raw).split(text).length > 1;
    while (!isThere()) {
      const more = new Promise<void>((resolve) => {
        this.#onText = resolve;
      });
      const isOver = await Promise.race([more.then(() => false), this.#exited.then(() => true)]);
      if (isOver && !isThere()) throw new Error(`the command ended without '${text}': ${this.raw}`);
    }
  }

  /** The exit code of the command. */
  async exit(): Promise<number | null> {
    await this.#exited;
    return this.child.exitCode;
  }
}

/** Runs the command in a pseudo-terminal to its end. */
export async function onTerminal(args: readonly string[], options: TerminalOptions) {
  const run = new TerminalRun(args, options);
  const exitCode = await run.exit();
  return { exitCode, raw: run.raw, screen: run.screen, rows: run.screen.rows };
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
