/** Reads message bodies as text and as JSON, with care. */
import { isUtf8 } from 'node:buffer';
import secureJson from 'secure-json-parse';

/** The body as text. Throws for bytes that are not UTF-8, because replacement characters would hide the damage. */
export function toText(body: Uint8Array | string): string {
  if (typeof body === 'string') return body;
  if (!isUtf8(body)) throw new TypeError(`the ${body.byteLength} bytes are not UTF-8`);
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return bytes.toString('utf8');
}

/** Throws for text that is not JSON, and for keys that could pollute prototypes. */
export function parseJson(text: string): unknown {
  return needsCare(text) ? secureJson.parse(text) : JSON.parse(text);
}

/**
 * Whether the text may contain a `__proto__` or `constructor.prototype` key, also in escapes, which could pollute
 * prototypes when the value is merged into other objects, and is refused; or a byte order mark, which JSON.parse does not
 * accept. This check costs a fraction of the time that the careful parser takes.
 */
function needsCare(text: string): boolean {
  return (
    text.includes('__proto__') ||
    text.includes('constructor') ||
    text.includes('\\u') ||
    text.charCodeAt(0) === 0xfeff
  );
}
