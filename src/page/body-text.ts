/** Bodies of messages as text: JSON indented, bytes as a hex dump. */
import { isUtf8 } from 'node:buffer';
import { wholeCharacters } from '../common/peek-page.js';

export interface BodyText {
  readonly kind: 'JSON' | 'text' | 'bytes';
  readonly text: string;
}

/** A hex dump takes about five times the room. */
const MAX_HEX_BYTES = 4096;
/** Deeper JSON is shown as it is. */
const MAX_INDENT = 20;

/** `isWhole`: it was not cut. */
export function bodyText(body: Uint8Array | string, isWhole: boolean): BodyText {
  const text = textOf(body, isWhole);
  if (text === undefined) return { kind: 'bytes', text: hexDump(body as Uint8Array) };
  if (!isWhole || !isJson(text)) return { kind: 'text', text };
  return { kind: 'JSON', text: indent(text) };
}

/** Undefined for bytes that are no text. */
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
  const line = () => `\n${'  '.repeat(Math.min(depth, MAX_INDENT))}`;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs)) {
    if (token === '{' || token === '[') {
      depth++;
      text += token + line();
    } else if (token === '}' || token === ']') {
      depth--;
      const isEmpty = /[{[]\s*$/.test(text.slice(-2 * MAX_INDENT - 2));
      text = isEmpty ? text.trimEnd() + token : text + line() + token;
    } else if (token === ',') text += token + line();
    else text += token === ':' ? ': ' : token;
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
