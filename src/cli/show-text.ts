import { isUtf8 } from 'node:buffer';

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
