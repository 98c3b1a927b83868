/** Data goes to standard output, all that is said about the work to standard error. */
import { isUtf8 } from 'node:buffer';
import { styleText } from 'node:util';
import type { EventLine } from './event-line.js';

export interface OutputFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** commander's form of `--no-color`. */
  readonly color?: boolean;
}

export class Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Whether somebody looks at standard output on a terminal that can be drawn on. */
  readonly live: boolean;
  /** Resolves when nobody reads standard output any more, as after `millrace work | head -1`. */
  readonly closed: Promise<void>;
  readonly #color: boolean;
  readonly #logAsJson: boolean;
  #isClosed = false;

  constructor(flags: OutputFlags = {}) {
    this.json = flags.json === true;
    this.quiet = flags.quiet === true;
    const smart = process.env.TERM !== 'dumb';
    this.live = process.stdout.isTTY === true && smart && !this.json;
    this.#color = flags.color !== false && !process.env.NO_COLOR && smart;
    this.#logAsJson = this.json || process.stderr.isTTY !== true;
    this.closed = new Promise((resolve) => {
      process.stdout.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE') this.error(`standard output: ${error.message}`);
        this.#isClosed = true;
        resolve();
      });
    });
  }

  /** A line of data. False: nobody reads it. What others wrote is made harmless to a terminal, and only there. */
  data(line: string): Promise<boolean> {
    return this.write(`${process.stdout.isTTY === true ? escapeControls(line) : line}\n`);
  }

  /** As {@link data}, but as it is and without ending the line. */
  write(text: string): Promise<boolean> {
    if (this.#isClosed) return Promise.resolve(false);
    return new Promise((resolve) => {
      process.stdout.write(text, (error) => resolve(error === null || error === undefined));
    });
  }

  /** A line for the person who started the command. */
  note(line: string): void {
    if (!this.quiet) process.stderr.write(`${line}\n`);
  }

  /** A line about what happens meanwhile: readable on a terminal, JSON elsewhere. */
  log({ event, level, text, fields }: EventLine): void {
    if (this.quiet && level === 'info') return;
    if (this.#logAsJson) {
      const line = { time: new Date().toISOString(), level, event, message: text, ...fields };
      process.stderr.write(`${JSON.stringify(line)}\n`);
    } else {
      const shown = ` [${level === 'info' ? '*' : '!'}] ${escapeControls(text)}`;
      process.stderr.write(`${level === 'info' ? shown : this.style('yellow', shown, process.stderr)}\n`);
    }
  }

  error(message: string): void {
    const [first = '', ...rest] = message.split('\n');
    const line = `millrace: ${escapeControls([first, ...rest.map((part) => part.trim())].join(' '))}`;
    process.stderr.write(`${this.style('red', line, process.stderr)}\n`);
  }

  style(
    format: 'red' | 'yellow' | 'green' | 'cyan' | 'dim',
    text: string,
    stream: NodeJS.WriteStream = process.stdout,
  ) {
    return this.#color && stream.isTTY === true ? styleText(format, text) : text;
  }
}

/** Resolves when all that was written has been handed on, so that the process may end. */
export async function flushed(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map(
      (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
    ),
  );
}

/** All but tab and line feed. C1 (0x80 to 0x9f) drives terminals as ESC does. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

function hex(code: number): string {
  return `\\x${code.toString(16).padStart(2, '0')}`;
}

/** Shows the control characters of a text that others wrote, so that it can't drive the reader's terminal. */
export function escapeControls(text: string): string {
  return text.replace(CONTROL, (character) => hex(character.charCodeAt(0)));
}

/** A message's body for people: text as it is; what is no UTF-8 byte by byte, `\xNN` for all that is not ASCII. */
export function showBody(body: Uint8Array): string {
  if (isUtf8(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  let shown = '';
  for (const byte of body) shown += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : hex(byte);
  return shown;
}
