/** Bodies of messages as text: JSON indented, bytes as a hex dump. */
import { isUtf8 } from 'node:buffer';
import { wholeCharacters } from '../../common/operator/peek-page.js';

export interface BodyText {
  readonly kind: 'JSON' | 'text' | 'bytes';
  readonly text: string;
}

/** A hex dump takes about five times the room. */
const MAX_HEX_BYTES = 4096;
/** Deeper parts stay on one line: in a deeply nested body, each line would be longer than the one before. */
const MAX_INDENT = 20;

/** `isWhole`: it was not cut. */
export function bodyText(body: Uint8Array | string, isWhole: boolean): BodyText {
  const text = textOf(body, isWhole);
  if (text === undefined) return { kind: 'bytes', text: hexDump(body as Uint8Array) };
  if (!isWhole || !isJson(text)) return { kind: 'text', text };
  return { kind: 'JSON', text: indent(text) };
}

/** Undefined for bytes that are not UTF-8 text. */
function textOf(body: Uint8Array | string, isWhole: boolean): string | undefined {
  if (typeof body === 'string') return body;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const part = isWhole ? bytes : wholeCharacters(bytes);
  return isUtf8(part) ? part.toString() : undefined;
}

function isJson(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Changes nothing but the spaces: numbers keep all of their digits. */
export function indent(json: string): string {
  let text = '';
  let depth = 0;
  let before = '';
  const line = () => (depth > MAX_INDENT ? '' : `\n${'  '.repeat(depth)}`);
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs)) {
    const isClosing = token === '}' || token === ']';
    const isFirst = before === '{' || before === '[';
    if (isClosing) depth--;
    // Empty objects and lists stay on one line, and so does what is too deep.
    if (isClosing ? !isFirst && depth < MAX_INDENT : isFirst || before === ',') text += line();
    text += token === ':' ? ': ' : token;
    if (token === '{' || token === '[') depth++;
    before = token;
  }
  return text;
}

function hexDump(bytes: Uint8Array): string {
  const lines: string[] = [];
  const shown = bytes.subarray(0, MAX_HEX_BYTES);
  for (let at = 0; at < shown.length; at += 16) {
    const row = [...shown.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const ascii = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${ascii}`);
  }
  if (bytes.length > shown.length) lines.push(`… ${bytes.length - shown.length} bytes more`);
  return lines.join('\n');
}
