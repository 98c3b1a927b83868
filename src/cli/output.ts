/**
 * Writes all output of millrace: data to standard output, messages about the work to standard error.
 *
 * Most of it quotes others: bodies, headers, ids, names, errors of a broker. All text is escaped here and nowhere else,
 * for terminals, pipes and files alike, since a pipe may end at a terminal. Colors are added after that.
 */
import { isUtf8 } from 'node:buffer';
import { createInterface } from 'node:readline/promises';
import { styleText } from 'node:util';
import type { EventLine } from '../common/reporting/event-line.js';
import { CONTROLS, escapeControls, hex, onOneLine } from '../common/reporting/terminal-text.js';
import { maskPasswords } from './address.js';
import { cut } from './layout.js';

export interface OutputFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** commander's form of `--no-color`. */
  readonly color?: boolean;
  /** Lines are not cut to the width of the terminal. */
  readonly wide?: boolean;
}

/** A part of a line that has a color. */
interface Styled {
  readonly style: 'red' | 'yellow' | 'green';
  readonly text: string;
}

/** Text without escape codes; those for colors are added when it is written. */
export type Line = string | readonly (string | Styled)[];

/** Erases the terminal's current row, and returns to its start. */
const ERASE_ROW = '\r\x1b[2K';

const PROGRESS_INTERVAL_MS = 1000;

export class Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Whether standard output is a terminal on which a line can be redrawn. */
  readonly live: boolean;
  /** Resolves when standard output is closed by its reader, as in `millrace work | head -1`. */
  readonly closed: Promise<void>;
  /** Whether {@link log} writes JSON: with `--json`, or if standard error is not a terminal. */
  readonly logsAsJson: boolean;
  readonly #wide: boolean;
  readonly #color: 'never' | 'terminals' | 'always';
  #isClosed = false;
  #hasProgress = false;

  constructor(flags: OutputFlags = {}) {
    this.json = flags.json === true;
    this.quiet = flags.quiet === true;
    this.#wide = flags.wide === true;
    const isDumb = process.env.TERM === 'dumb';
    this.live = process.stdout.isTTY === true && !isDumb && !this.json;
    this.#color = colorMode(flags, isDumb);
    this.logsAsJson = this.json || process.stderr.isTTY !== true;
    this.closed = new Promise((resolve) => {
      process.stdout.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE') this.error(`standard output: ${error.message}`);
        this.#isClosed = true;
        resolve();
      });
    });
  }

  /** The columns of standard output; unlimited if it is not a terminal, or with `--wide`. */
  get columns(): number {
    return (this.live && !this.#wide ? process.stdout.columns : 0) || Number.POSITIVE_INFINITY;
  }

  /** Writes one line of data. Resolves to false if the output is closed. */
  data(line: Line): Promise<boolean> {
    return this.#write(`${this.#render(line, process.stdout)}\n`);
  }

  /** Writes text of one or more lines, such as a body, plus a line end. Resolves to false if the output is closed. */
  block(text: string): Promise<boolean> {
    return this.#write(`${escapeControls(text)}\n`);
  }

  /** Writes a value as a line of JSON. Resolves to false if the output is closed. */
  record(value: object): Promise<boolean> {
    return this.#write(`${toJson(value)}\n`);
  }

  /** Replaces the line that was drawn before. Only if `live`. */
  draw(line: Line): void {
    void this.#write(`${ERASE_ROW}${this.#render(line, process.stdout)}`);
  }

  /** The rows of the terminal; a usual number if it does not report them. */
  get rows(): number {
    return process.stdout.rows || 24;
  }

  /** Starts a full screen, which `leaveScreen` removes again. Only if `live`. */
  enterScreen(): void {
    void this.#write('\x1b[?1049h\x1b[?25l');
  }

  leaveScreen(): void {
    void this.#write('\x1b[?25h\x1b[?1049l');
  }

  /** Draws the full screen: these lines, cut to its width, and nothing else. */
  frame(lines: readonly string[]): void {
    const drawn = lines.map((line) => `${cut(onOneLine(line), this.columns - 1)}\x1b[K`);
    void this.#write(`\x1b[H${drawn.join('\r\n')}\x1b[J`);
  }

  /** Writes a line for the user to standard error, unless `quiet`. */
  note(line: string): void {
    if (!this.quiet) this.#say(onOneLine(line));
  }

  /** Writes a line of a worker's log: readable on a terminal, JSON elsewhere. */
  log(line: EventLine): void {
    this.#event(line, this.logsAsJson);
  }

  /** Writes an event of a command that a user waits for: JSON only with `--json`. */
  event(line: EventLine): void {
    this.#event(line, this.json);
  }

  #event({ event, level, text, fields }: EventLine, asJson: boolean): void {
    if (this.quiet && level === 'info') return;
    if (asJson) {
      const line = { time: new Date().toISOString(), level, event, message: text, ...fields };
      this.#say(toJson(line));
      return;
    }
    const line: Line = level === 'info' ? ` [*] ${text}` : [{ style: 'yellow', text: ` [!] ${text}` }];
    this.#say(this.#render(line, process.stderr));
  }

  error(message: string): void {
    const line: Line = [{ style: 'red', text: `millrace: ${maskPasswords(message)}` }];
    this.#say(this.#render(line, process.stderr));
  }

  /** Runs a job. On a terminal, a row on standard error says each second what it does and for how long, until it ends. */
  async during<T>(what: () => string, job: () => Promise<T>): Promise<T> {
    const { stderr, env } = process;
    if (stderr.isTTY !== true || env.TERM === 'dumb' || this.quiet || this.json) return job();
    let seconds = 0;
    const timer = setInterval(() => {
      const row = onOneLine(` [*] ${what()} (${++seconds} s)`);
      stderr.write(`${ERASE_ROW}${cut(row, (stderr.columns || 80) - 1)}`);
      this.#hasProgress = true;
    }, PROGRESS_INTERVAL_MS);
    try {
      return await job();
    } finally {
      clearInterval(timer);
      this.#eraseProgress();
    }
  }

  /** Asks the user. Any answer but yes counts as no, and so does an aborted signal. */
  async confirm(question: string, signal: AbortSignal): Promise<boolean> {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    try {
      const answer = await terminal.question(` [?] ${onOneLine(question)} [y/N] `, { signal });
      const isAgreed = /^y(es)?$/i.test(answer.trim());
      if (!isAgreed) this.note(' [*] Nothing was changed');
      return isAgreed;
    } catch (error) {
      if (signal.aborted) return false;
      if (!(error instanceof Error && error.name === 'AbortError')) throw error;
      // Ctrl+D leaves the cursor on the row of the question.
      process.stderr.write('\n');
      this.note(' [*] Nothing was changed');
      return false;
    } finally {
      terminal.close();
    }
  }

  #say(line: string): void {
    this.#eraseProgress();
    process.stderr.write(`${line}\n`);
  }

  #eraseProgress(): void {
    if (this.#hasProgress) process.stderr.write(ERASE_ROW);
    this.#hasProgress = false;
  }

  #write(text: string): Promise<boolean> {
    if (this.#isClosed) return Promise.resolve(false);
    this.#eraseProgress();
    return new Promise((resolve) => {
      process.stdout.write(text, (error) => resolve(error === null || error === undefined));
    });
  }

  #render(line: Line, stream: NodeJS.WriteStream): string {
    const isColored = this.#color === 'always' || (this.#color === 'terminals' && stream.isTTY === true);
    const parts = typeof line === 'string' ? [line] : line;
    return parts
      .map((part) => {
        if (typeof part === 'string') return onOneLine(part);
        const text = onOneLine(part.text);
        // Without this, Node checks standard output, whichever stream the text is for.
        return isColored ? styleText(part.style, text, { validateStream: false }) : text;
      })
      .join('');
  }
}

/** `--no-color` and NO_COLOR win over FORCE_COLOR, which wins over the type of the streams. */
function colorMode(flags: OutputFlags, isDumb: boolean): 'never' | 'terminals' | 'always' {
  if (flags.color === false || process.env.NO_COLOR) return 'never';
  const force = process.env.FORCE_COLOR;
  if (force !== undefined) return force === '0' || force === 'false' ? 'never' : 'always';
  return isDumb ? 'never' : 'terminals';
}

/** Writes a warning of Node.js or of the toolkit. */
export function writeWarning({ name, message }: Error): void {
  process.stderr.write(`${onOneLine(`millrace: ${name}: ${message}`)}\n`);
}

/** Writes an uncaught error, with its stack. */
export function writeUncaught(error: unknown): void {
  const { stack = '' } = error instanceof Error ? error : {};
  const frames = stack.split('\n').filter((line) => /^ {4}at /.test(line));
  const lines = [`millrace: uncaught ${maskPasswords(String(error))}`, ...frames];
  process.stderr.write(lines.map((line) => `${onOneLine(line)}\n`).join(''));
}

/** Resolves when everything written has been handed on, so that the process may exit. */
export async function flushed(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map(
      (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
    ),
  );
}

/** JSON escapes C0 itself. Other characters to be escaped become `\uNNNN`, which parses to the same value. */
export function toJson(value: object): string {
  return JSON.stringify(value).replace(CONTROLS, (found) =>
    // Half a surrogate pair at a time, as JSON has it.
    Array.from({ length: found.length }, (_, at) => found.charCodeAt(at).toString(16).padStart(4, '0'))
      .map((code) => `\\u${code}`)
      .join(''),
  );
}

/** A body as readable text. If it is not UTF-8, each byte that is not printable ASCII is shown as `\xNN`. */
export function showBody(body: Uint8Array): string {
  if (isUtf8(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  let shown = '';
  for (const byte of body) shown += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : hex(byte);
  return shown;
}
