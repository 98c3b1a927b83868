/** Reads message bodies from a stream. */
import { fstatSync } from 'node:fs';
import { QueueError } from '../errors.js';

/** Whether standard input is a pipe or a file, rather than a terminal or closed. */
export function isPiped(fileDescriptor: number): boolean {
  try {
    const stat = fstatSync(fileDescriptor);
    return stat.isFIFO() || stat.isFile() || stat.isSocket();
  } catch {
    return false;
  }
}

/** The whole input as one body. Throws `TOO_LARGE` as soon as it exceeds the limit, without reading further. */
export async function wholeBody(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw tooLarge('the input', maxBytes);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

const LF = 0x0a;
const CR = 0x0d;

/**
 * The lines of the input, each as one body without its line end (LF or CR LF). An empty line is an empty body; text
 * after the last line end is a line, too. Throws `TOO_LARGE`. Holds one line at a time.
 */
export async function* lines(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let count = 0;
  /** The parts of the current line, whose end has not been read yet. */
  let started: Uint8Array[] = [];
  let startedBytes = 0;
  const lineOf = (parts: readonly Uint8Array[]): Uint8Array => {
    count++;
    const line = withoutCarriageReturn(parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts));
    if (line.byteLength > maxBytes) throw tooLarge(`line ${count}`, maxBytes);
    return line;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      yield lineOf([...started, chunk.subarray(start, end)]);
      started = [];
      startedBytes = 0;
      start = end + 1;
    }
    if (start === chunk.byteLength) continue;
    started.push(chunk.subarray(start));
    startedBytes += chunk.byteLength - start;
    // One more byte may be the CR of the line end.
    if (startedBytes > maxBytes + 1) throw tooLarge(`line ${count + 1}`, maxBytes);
  }
  if (startedBytes > 0) yield lineOf(started);
}

function withoutCarriageReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === CR ? line.subarray(0, -1) : line;
}

function tooLarge(what: string, maxBytes: number): QueueError {
  return new QueueError('TOO_LARGE', `${what} is larger than the ${maxBytes} bytes that a message may have`);
}
