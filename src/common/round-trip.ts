/** Finds what a value loses on its way through a codec, before it is sent and not when it arrives. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type Codec, codecs } from './codec.js';
import { errorText } from './options.js';
import { describeIssues, describeThrown, type Validate, type Verdict } from './schema.js';

/** How many values of a queue are decoded again before its codec and schema are trusted. */
const TRIALS = 100;

/** Why a value can't be sent, as a sentence without its subject. */
export interface Fault {
  readonly text: string;
  readonly cause?: unknown;
}

/** Tries the values of one queue. */
export class RoundTrip {
  readonly #codec: Codec;
  readonly #validate: Validate;
  #trials = 0;

  constructor(codec: Codec, validate: Validate) {
    this.#codec = codec;
    this.#validate = validate;
  }

  /**
   * Whether this value needs a trial. Plain JSON and text need none; anything else does until `TRIALS` values have
   * passed.
   */
  isNeeded(value: unknown): boolean {
    if (this.#codec === codecs.json) {
      const kind = jsonKind(value);
      if (kind !== 'convertible') return kind === 'lossy';
    } else if (this.#codec === codecs.text) {
      return false;
    }
    return this.#trials < TRIALS;
  }

  /** Decodes and validates what would be sent, as the consumer will. A promise only if the schema is asynchronous. */
  fault(value: unknown, body: Uint8Array | string): Fault | undefined | Promise<Fault | undefined> {
    this.#trials++;
    const lost = this.#codec === codecs.json ? findLoss(value, []) : undefined;
    if (lost !== undefined) return this.#lost(lost);
    let decoded: unknown;
    try {
      decoded = this.#codec.decode(body);
    } catch (error) {
      return this.#lost(errorText(error));
    }
    const verdict = this.#validate(decoded);
    return verdict instanceof Promise
      ? verdict.then((settled) => this.#faultOf(settled, value))
      : this.#faultOf(verdict, value);
  }

  #faultOf(verdict: Verdict, value: unknown): Fault | undefined {
    if (verdict.type === 'valid') return undefined;
    if (verdict.type === 'threw') {
      return { text: `can't be validated: ${describeThrown(verdict.error)}`, cause: verdict.error };
    }
    const issues = describeIssues(verdict.issues);
    if (this.#codec === codecs.json && jsonKind(value) === 'plain')
      return { text: `fails its schema: ${issues}` };
    const advice = adviceFor(valueAt(value, verdict.issues[0]?.path));
    return {
      text: `fails its schema as it would arrive (${this.#codec.contentType}): ${advice === undefined ? issues : `${issues}; ${advice}`}`,
    };
  }

  #lost(why: string): Fault {
    return { text: `can't be sent as ${this.#codec.contentType}: ${why}` };
  }
}

/**
 * `plain`: JSON gives back the same. `convertible`: JSON writes something else for a part of it, which the schema may
 * turn back. `lossy`: JSON loses a part of it.
 */
function jsonKind(value: unknown): 'plain' | 'convertible' | 'lossy' {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return 'plain';
    case 'number':
      return Number.isFinite(value) ? 'plain' : 'lossy';
    case 'object':
      return value === null ? 'plain' : objectKind(value);
    case 'bigint':
      // JSON refuses it, unless the application gave it a `toJSON`.
      return 'convertible';
    default:
      // A function or a symbol.
      return 'lossy';
  }
}

function objectKind(value: object): 'plain' | 'convertible' | 'lossy' {
  let kind: 'plain' | 'convertible' = 'plain';
  if (Array.isArray(value)) {
    for (const item of value) {
      // JSON writes null for it.
      if (item === undefined) return 'lossy';
      const itemKind = jsonKind(item);
      if (itemKind === 'lossy') return 'lossy';
      if (itemKind === 'convertible') kind = 'convertible';
    }
    return kind;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if ('toJSON' in value && typeof value.toJSON === 'function') return 'convertible';
  if (prototype !== Object.prototype && prototype !== null) {
    if (isEmptied(value)) return 'lossy';
    kind = 'convertible';
  }
  for (const name in value) {
    const propertyKind = jsonKind((value as Record<string, unknown>)[name]);
    // JSON passes over inherited properties, and so do readers of what it wrote.
    if (propertyKind === 'lossy' && Object.hasOwn(value, name)) return 'lossy';
    // Those that the codec refuses to decode.
    if (propertyKind === 'convertible' || name === '__proto__' || name === 'constructor')
      kind = 'convertible';
  }
  return kind;
}

/** What JSON writes for these is the same as the value, or close to it. */
const WRITTEN_TAGS = new Set(['[object Object]', '[object Array]', '[object Number]', '[object Boolean]']);

/**
 * JSON keeps nothing of these, or only something that looks like an object. What they hold is not in properties: maps,
 * sets, promises, iterators, search parameters, errors, bytes.
 */
function isEmptied(value: object): boolean {
  if (value instanceof Error || ArrayBuffer.isView(value)) return true;
  return !WRITTEN_TAGS.has(Object.prototype.toString.call(value)) && Object.keys(value).length === 0;
}

/** The first part of a value that JSON loses, with what to do about it. Called for values that have one. */
function findLoss(value: unknown, path: readonly string[]): string | undefined {
  if (jsonKind(value) !== 'lossy') return undefined;
  if (Array.isArray(value)) {
    // Not its entries, which leave out the missing ones.
    for (const [index, item] of value.entries()) {
      const lost =
        item === undefined ? lossAt([...path, `${index}`], item) : findLoss(item, [...path, `${index}`]);
      if (lost !== undefined) return lost;
    }
  } else if (typeof value === 'object' && value !== null && !isEmptied(value)) {
    for (const [name, part] of Object.entries(value)) {
      const lost = findLoss(part, [...path, name]);
      if (lost !== undefined) return lost;
    }
  }
  return lossAt(path, value);
}

function lossAt(path: readonly string[], value: unknown): string {
  return `${path.length === 0 ? '' : `${path.join('.')}: `}JSON loses ${nameOf(value)}; ${adviceFor(value) ?? 'leave it out'}`;
}

function nameOf(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (value === undefined) return 'an item that is undefined';
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`;
  return `a ${value.constructor?.name ?? 'value'}`;
}

function adviceFor(value: unknown): string | undefined {
  if (value instanceof Date) return 'use z.coerce.date() or the like, which takes the text that arrives';
  if (value instanceof Map || value instanceof Set) return 'send its entries as an array';
  if (value instanceof URL) return 'send its href';
  if (value instanceof Error) return 'send its message';
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    return "send it as base64 text, or alone with the codec 'bytes'";
  }
  if (value === undefined || (typeof value === 'number' && !Number.isFinite(value)))
    return 'send null or a text';
  if (typeof value === 'object' && value !== null && 'toJSON' in value) {
    return 'let the schema take what its toJSON() gives';
  }
  return undefined;
}

function valueAt(value: unknown, path: StandardSchemaV1.Issue['path']): unknown {
  let part = value;
  for (const step of path ?? []) {
    const key = typeof step === 'object' ? step.key : step;
    if (typeof part !== 'object' || part === null) return undefined;
    part = (part as Record<PropertyKey, unknown>)[key];
  }
  return part;
}
