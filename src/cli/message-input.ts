/** The message that `send` and `publish` read: from words, a file or standard input. */

import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { errorText } from '../common/options.js';
import { CommandError, EXIT } from './exit-code.js';
import { isPiped } from './input.js';
import { showBody } from './output.js';

export interface InputFlags {
  readonly lines?: boolean;
  readonly file?: string;
}

/** Refuses flags that contradict one another. */
export function checkCombination(
  words: readonly string[],
  flags: InputFlags & { readonly id?: string },
): void {
  if (words.length > 0 && flags.file !== undefined) {
    throw new CommandError(EXIT.usage, 'the message is given both as words and by --file; use one of them');
  }
  if (!flags.lines) return;
  if (words.length > 0 && !isStandardInput(words)) {
    throw new CommandError(EXIT.usage, '--lines reads standard input or --file, so leave out the words');
  }
  if (flags.id !== undefined) {
    throw new CommandError(EXIT.usage, '--id names a single message; with --lines each has its own id');
  }
}

/** `usage`: the command that reads standard input, for the error if there is no message. */
export async function chooseInput(
  words: readonly string[],
  { file }: InputFlags,
  usage: string,
): Promise<Readable> {
  if (file !== undefined && file !== '-') {
    try {
      return (await open(file)).createReadStream();
    } catch (error) {
      const reason = errorText(error);
      throw new CommandError(EXIT.usage, `--file: ${reason}`, { cause: error });
    }
  }
  if (file === '-' || isStandardInput(words)) return process.stdin;
  if (words.length > 0) return Readable.from([Buffer.from(words.join(' '))]);
  if (isPiped(0)) return process.stdin;
  throw new CommandError(
    EXIT.usage,
    `nothing to send: pass the message as words, pipe it in, or run '${usage}' and type it`,
  );
}

function isStandardInput(words: readonly string[]): boolean {
  return words.length === 1 && words[0] === '-';
}

const MAX_ECHO_BYTES = 200;

/** Quotes the body, shortened if it is long, to show the user the message that was sent. */
export function quoted(body: Uint8Array): string {
  if (body.byteLength <= MAX_ECHO_BYTES) return `'${showBody(body)}'`;
  let end = MAX_ECHO_BYTES;
  // Don't cut a character in half.
  while (end > 0 && ((body[end] ?? 0) & 0xc0) === 0x80) end--;
  return `'${showBody(body.subarray(0, end))}…' (${body.byteLength} bytes)`;
}
