import { isUtf8 } from 'node:buffer';
import secureJson from 'secure-json-parse';
import { invalidOption } from '../options.js';
import * as structuredValues from './structured.js';

/** Converts the values of a queue to bytes or text, and back. Both directions throw on values they can't convert. */
export interface Codec {
  /** The content type of messages that are sent with it. */
  readonly contentType: string;
  /** Throws for a value that the codec can't encode: `send` rejects with `INVALID_MESSAGE`. */
  encode(value: unknown): Uint8Array | string;
  /**
   * Throws for a body that it can't decode: the message becomes a dead letter, `undecodable`. `gzip`, `deflate`, `br` and
   * `zstd` are decompressed before. `labels`: the sender's labels of the body, if they name another encoding.
   */
  decode(body: Uint8Array | string, labels?: BodyLabels): unknown;
  /**
   * Decode every message of the queue with this codec, regardless of its content type. Default: false; a message
   * labelled as JSON, plain text or bytes is decoded accordingly.
   */
  readonly ignoresContentType?: boolean;
}

/** The sender's labels of a message body. */
export interface BodyLabels {
  /** A media type; `''` if there is none. */
  readonly contentType: string;
  /** As it was received. */
  readonly contentEncoding: string | undefined;
}

/**
 * The built-in codecs. `'structured'` carries values that JSON can't represent: `Date`, `Map`, `Set`, `Uint8Array`,
 * `bigint`, `undefined`, `NaN`, `Infinity` and `-0`.
 */
export type CodecName = 'json' | 'structured' | 'text' | 'bytes';

/** The body as text. Throws for bytes that are not UTF-8, because replacement characters would hide the damage. */
function toText(body: Uint8Array | string): string {
  if (typeof body === 'string') return body;
  if (!isUtf8(body)) throw new TypeError(`the ${body.byteLength} bytes are not UTF-8`);
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return bytes.toString('utf8');
}

/** Throws for text that is not JSON, and for keys that could pollute prototypes. */
function parseJson(text: string): unknown {
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

const json: Codec = {
  contentType: 'application/json',
  encode(value) {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw new TypeError(`JSON has no form for a value of type ${typeof value}`);
    return text;
  },
  decode: (body) => parseJson(toText(body)),
};

const text: Codec = {
  contentType: 'text/plain',
  encode(value) {
    if (typeof value !== 'string')
      throw new TypeError(`the codec 'text' takes a string, not ${typeof value}`);
    if (!value.isWellFormed()) {
      throw new TypeError(
        "the text has half a surrogate pair, which UTF-8 can't carry; use value.toWellFormed()",
      );
    }
    return value;
  },
  decode: toText,
};

const bytes: Codec = {
  contentType: 'application/octet-stream',
  encode(value) {
    if (!(value instanceof Uint8Array)) {
      throw new TypeError(`the codec 'bytes' takes a Uint8Array, not ${typeof value}`);
    }
    return value;
  },
  decode(body) {
    return typeof body === 'string' ? Buffer.from(body) : body;
  },
};

const structured: Codec = {
  contentType: structuredValues.CONTENT_TYPE,
  encode: structuredValues.encode,
  decode: (body) => structuredValues.decode(toText(body), parseJson),
};

/** A form of structured values that this version can't read, and would misread as another. */
const laterStructured: Codec = {
  ...structured,
  decode() {
    throw new TypeError(
      `a later version of millrace wrote this body; this one reads ${structured.contentType}`,
    );
  },
};

/** The built-in codecs by name. */
export const codecs: Readonly<Record<CodecName, Codec>> = { json, structured, text, bytes };

const byContentType = new Map(Object.values(codecs).map((codec) => [codec.contentType, codec]));

/** The codec for one message: that of its content type if it is known, else the queue's own. */
export function codecFor(contentType: string, queueCodec: Codec): Codec {
  if (contentType === queueCodec.contentType || contentType === '' || queueCodec.ignoresContentType) {
    return queueCodec;
  }
  const essence = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const known = byContentType.get(essence);
  if (known !== undefined) return known;
  return essence.startsWith(structuredValues.CONTENT_TYPE_STEM) ? laterStructured : queueCodec;
}

/** Throws `INVALID_OPTION`. */
export function codecOption(codec: CodecName | Codec | undefined): Codec {
  if (codec === undefined) return codecs.json;
  if (typeof codec === 'string' && Object.hasOwn(codecs, codec)) return codecs[codec];
  if (typeof codec === 'object' && codec !== null) {
    if (typeof codec.encode === 'function' && typeof codec.decode === 'function') {
      if (typeof codec.contentType === 'string') return codec;
    }
  }
  const expected = "'json', 'structured', 'text', 'bytes', or an object with contentType, encode and decode";
  throw invalidOption('codec', expected, codec);
}

/**
 * `plain`: the codec gives back the same value. `convertible`: it writes something else for a part of it, which the schema
 * may turn back. `lossy`: it loses a part of it.
 */
export type Fidelity = 'plain' | 'convertible' | 'lossy';

/** How far the codec preserves a value. Custom codecs may do anything. */
export function fidelityOf(codec: Codec, value: unknown): Fidelity {
  if (codec === codecs.json) return jsonFidelity(value);
  return codec === codecs.text ? 'plain' : 'convertible';
}

/** How far JSON preserves a value. */
export function jsonFidelity(value: unknown): Fidelity {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return 'plain';
    case 'number':
      return Number.isFinite(value) ? 'plain' : 'lossy';
    case 'object':
      return value === null ? 'plain' : objectFidelity(value);
    case 'bigint':
      // JSON refuses it, unless the application has defined a `toJSON`.
      return 'convertible';
    default:
      // A function or a symbol.
      return 'lossy';
  }
}

function objectFidelity(value: object): Fidelity {
  let kind: 'plain' | 'convertible' = 'plain';
  if (Array.isArray(value)) {
    for (const item of value) {
      // JSON writes null for it.
      if (item === undefined) return 'lossy';
      const itemKind = jsonFidelity(item);
      if (itemKind === 'lossy') return 'lossy';
      if (itemKind === 'convertible') kind = 'convertible';
    }
    return kind;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if ('toJSON' in value && typeof value.toJSON === 'function') return 'convertible';
  if (prototype !== Object.prototype && prototype !== null) {
    if (structuredValues.isEmptied(value)) return 'lossy';
    kind = 'convertible';
  }
  for (const name in value) {
    const propertyKind = jsonFidelity((value as Record<string, unknown>)[name]);
    // JSON ignores inherited properties.
    if (propertyKind === 'lossy' && Object.hasOwn(value, name)) return 'lossy';
    // Keys that the codec refuses to decode.
    if (propertyKind === 'convertible' || name === '__proto__' || name === 'constructor')
      kind = 'convertible';
  }
  return kind;
}
