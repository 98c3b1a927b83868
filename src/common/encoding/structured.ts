/**
 * The codec `'structured'`: JSON, in which an object whose only key is one of these tags stands for a value that JSON
 * can't represent. People and other languages can read it, and a body is only data, as in JSON: it contains no code.
 *
 *   { "$date": "2026-12-01T03:00:00.000Z" }    { "$map": [[key, value], …] }    { "$set": [value, …] }
 *   { "$bytes": "base64" }    { "$bigint": "-12" }    { "$undefined": true }    { "$number": "NaN" | "Infinity" | "-Infinity" | "-0" }
 *   { "$object": { "$date": … } }              an object that would look like one of these
 *
 * A new tag is a compatible addition: a reader refuses tags that it does not know. Any other change of the format gets
 * another number in its content type.
 */

import { quote } from '../options.js';

/** The content types of all versions of the format start with this. */
export const CONTENT_TYPE_STEM = 'application/vnd.millrace.structured.';
export const CONTENT_TYPE = `${CONTENT_TYPE_STEM}v1+json`;

/** Far from the depth at which recursion ends the stack. */
const MAX_DEPTH = 1000;
/** Parsing digits takes more than linear time. */
const MAX_BIGINT_DIGITS = 10_000;

const UNDEFINED = { $undefined: true };
const NUMBERS: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
  '-0': -0,
};

type Path = (string | number)[];

/** Throws for values that the format can't carry, with their path. */
export function encode(value: unknown): string {
  return JSON.stringify(toJsonValue(value, []));
}

/** Throws for text that is not of the format. `parse`: of JSON, guarded against prototype pollution. */
export function decode(text: string, parse: (text: string) => unknown): unknown {
  const value = parse(text);
  // A tag may be written with an escape.
  return text.includes('$') || text.includes('\\u') ? restore(value, 0) : value;
}

/** The same value if it needs no tags. */
function toJsonValue(value: unknown, path: Path): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (Number.isFinite(value) && !Object.is(value, -0)) return value;
      return { $number: Object.is(value, -0) ? '-0' : String(value) };
    case 'undefined':
      return UNDEFINED;
    case 'bigint':
      return { $bigint: digitsOf(value, path) };
    case 'object':
      return value === null ? null : objectToJson(value, path);
    default:
      throw unfit(path, `a ${typeof value}`);
  }
}

function objectToJson(value: object, path: Path): unknown {
  if (path.length > MAX_DEPTH) throw unfit(path.slice(0, 3), `more than ${MAX_DEPTH} levels, or a cycle`);
  if (Array.isArray(value)) return arrayToJson(value, path);
  const prototype: unknown = Object.getPrototypeOf(value);
  if ((prototype === Object.prototype || prototype === null) && !('toJSON' in value)) {
    return propertiesToJson(value as Record<string, unknown>, path);
  }
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw unfit(path, 'an invalid Date');
    return { $date: value.toISOString() };
  }
  if (value instanceof Map) {
    return { $map: Array.from(value, (entry, index) => partToJson(entry, index, path)) };
  }
  if (value instanceof Set) return { $set: arrayToJson([...value], path) };
  if (value instanceof Uint8Array) return { $bytes: bytesOf(value).toString('base64') };
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const given: unknown = value.toJSON();
    return given === value
      ? propertiesToJson(value as Record<string, unknown>, path)
      : toJsonValue(given, path);
  }
  if (isEmptied(value)) throw unfit(path, `a ${value.constructor?.name ?? 'value'}`);
  // Numbers, strings and booleans as objects.
  const primitive: unknown = value.valueOf();
  if (typeof primitive !== 'object') return toJsonValue(primitive, path);
  return propertiesToJson(value as Record<string, unknown>, path);
}

function arrayToJson(items: readonly unknown[], path: Path): readonly unknown[] {
  let written: unknown[] | undefined;
  for (let index = 0; index < items.length; index++) {
    const item = items[index];
    const part = partToJson(item, index, path);
    if (written === undefined && part !== item) written = items.slice(0, index);
    if (written !== undefined) written[index] = part;
  }
  return written ?? items;
}

function propertiesToJson(value: Readonly<Record<string, unknown>>, path: Path): unknown {
  const names = Object.keys(value);
  let written: Record<string, unknown> | undefined;
  for (const name of names) {
    const property = value[name];
    if (name === '__proto__' || (name === 'constructor' && hasPrototype(property))) {
      throw unfit([...path, name], 'a key that could pollute prototypes');
    }
    const part = partToJson(property, name, path);
    if (written === undefined && part !== property) written = { ...value };
    if (written !== undefined) written[name] = part;
  }
  const json = written ?? value;
  return names.length === 1 && names[0]?.startsWith('$') ? { $object: json } : json;
}

function partToJson(part: unknown, name: string | number, path: Path): unknown {
  path.push(name);
  const json = toJsonValue(part, path);
  path.pop();
  return json;
}

function hasPrototype(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype');
}

function digitsOf(value: bigint, path: Path): string {
  const digits = value.toString();
  if (digits.length > MAX_BIGINT_DIGITS) throw unfit(path, `a bigint of ${digits.length} digits`);
  return digits;
}

function bytesOf(value: Uint8Array): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function unfit(path: Path, what: string): TypeError {
  const where = path.length === 0 ? '' : `${path.join('.')}: `;
  return new TypeError(`${where}the codec 'structured' can't carry ${what}; leave it out, or convert it`);
}

/** Replaces tagged objects in a parsed value. */
function restore(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) throw new TypeError(`the value has more than ${MAX_DEPTH} levels`);
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = restore(value[index], depth + 1);
    return value;
  }
  const names = Object.keys(value);
  const [tag] = names;
  if (names.length === 1 && tag?.startsWith('$')) {
    return restoreTagged(tag, (value as Record<string, unknown>)[tag], depth);
  }
  return restoreProperties(value as Record<string, unknown>, depth);
}

function restoreProperties(value: Record<string, unknown>, depth: number): unknown {
  for (const name of Object.keys(value)) value[name] = restore(value[name], depth + 1);
  return value;
}

function restoreTagged(tag: string, content: unknown, depth: number): unknown {
  switch (tag) {
    case '$date': {
      const date = new Date(textIn(tag, content));
      if (Number.isNaN(date.getTime()) || date.toISOString() !== content) throw misformed(tag, content);
      return date;
    }
    case '$map': {
      const entries = listIn(tag, content);
      const map = new Map<unknown, unknown>();
      for (const entry of entries) {
        if (!Array.isArray(entry) || entry.length !== 2) throw misformed(tag, entry);
        map.set(restore(entry[0], depth + 1), restore(entry[1], depth + 1));
      }
      if (map.size < entries.length) throw new TypeError('$map has a key twice');
      return map;
    }
    case '$set': {
      const items = listIn(tag, content);
      const set = new Set(items.map((item) => restore(item, depth + 1)));
      if (set.size < items.length) throw new TypeError('$set has an item twice');
      return set;
    }
    case '$bytes': {
      const bytes = Buffer.from(textIn(tag, content), 'base64');
      if (bytes.toString('base64') !== content) throw misformed(tag, content);
      // Not a Buffer, which would be a part of a larger one.
      return new Uint8Array(bytes);
    }
    case '$bigint': {
      const digits = textIn(tag, content);
      if (digits.length > MAX_BIGINT_DIGITS || !/^-?\d+$/.test(digits)) throw misformed(tag, content);
      return BigInt(digits);
    }
    case '$number': {
      const name = textIn(tag, content);
      if (!Object.hasOwn(NUMBERS, name)) throw misformed(tag, content);
      return NUMBERS[name];
    }
    case '$undefined':
      if (content !== true) throw misformed(tag, content);
      return undefined;
    case '$object':
      if (typeof content !== 'object' || content === null || Array.isArray(content)) {
        throw misformed(tag, content);
      }
      return restoreProperties(content as Record<string, unknown>, depth + 1);
    default:
      throw new TypeError(
        `unknown tag ${quote(tag)} of ${CONTENT_TYPE}; a later version of millrace may support it`,
      );
  }
}

function textIn(tag: string, content: unknown): string {
  if (typeof content !== 'string') throw misformed(tag, content);
  return content;
}

function listIn(tag: string, content: unknown): readonly unknown[] {
  if (!Array.isArray(content)) throw misformed(tag, content);
  return content;
}

function misformed(tag: string, content: unknown): TypeError {
  return new TypeError(`${tag} can't be ${quote(content)} in ${CONTENT_TYPE}`);
}

/** Types for which JSON writes the same value, or nearly so. */
const WRITTEN_TAGS = new Set(['[object Object]', '[object Array]', '[object Number]', '[object Boolean]']);

/**
 * Types of which JSON keeps nothing, or only an object without their content, which is not in properties: maps, sets,
 * promises, iterators, search parameters, errors, bytes.
 */
export function isEmptied(value: object): boolean {
  if (value instanceof Error || ArrayBuffer.isView(value)) return true;
  return !WRITTEN_TAGS.has(Object.prototype.toString.call(value)) && Object.keys(value).length === 0;
}
