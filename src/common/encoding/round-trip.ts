/** Detects losses of a value in its codec before it is sent. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { errorText } from '../options.js';
import { type Codec, codecs, type Fidelity, jsonFidelity } from './codec.js';
import { describeIssues, describeThrown, type Validate, type Verdict } from './schema.js';
import { isEmptied } from './structured.js';

/** How many values of a queue are decoded again before its codec and schema are trusted. */
const TRIALS = 100;

/** Why a value can't be sent, as a sentence without a subject. */
export interface Fault {
  readonly text: string;
  readonly cause?: unknown;
}

/** Checks the values of one queue. */
export class RoundTrip {
  readonly #codec: Codec;
  readonly #validate: Validate;
  #trials = 0;

  constructor(codec: Codec, validate: Validate) {
    this.#codec = codec;
    this.#validate = validate;
  }

  /** Whether to check a value that its codec may change: always if it would lose something, otherwise the first few. */
  isNeeded(fidelity: Fidelity): boolean {
    return fidelity === 'lossy' || this.#trials < TRIALS;
  }

  /** Decodes and validates the encoded value as a consumer will. A promise only if the schema is asynchronous. */
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
    if (this.#codec === codecs.json && jsonFidelity(value) === 'plain')
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

/** Why the codec threw, with the path of the part that JSON refuses. */
export function encodingFault(codec: Codec, value: unknown, error: unknown): string {
  const path = codec === codecs.json ? pathOfBigint(value, new Set()) : undefined;
  if (path === undefined) return errorText(error);
  const where = path.length === 0 ? '' : `${path.join('.')}: `;
  return `${where}JSON has no bigint; ${adviceFor(0n)}`;
}

function pathOfBigint(value: unknown, seen: Set<object>): string[] | undefined {
  if (typeof value === 'bigint') return [];
  if (typeof value !== 'object' || value === null || seen.has(value)) return undefined;
  seen.add(value);
  for (const [name, part] of Object.entries(value)) {
    const path = pathOfBigint(part, seen);
    if (path !== undefined) return [name, ...path];
  }
  return undefined;
}

/** The first part of a value that JSON loses, and the remedy. Called for values that have such a part. */
function findLoss(value: unknown, path: readonly string[]): string | undefined {
  if (jsonFidelity(value) !== 'lossy') return undefined;
  if (Array.isArray(value)) {
    // Not its entries, which omit holes.
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

const STRUCTURED = "codec: 'structured'";

function adviceFor(value: unknown): string | undefined {
  if (value instanceof Date) return `use z.coerce.date(), or ${STRUCTURED}`;
  if (value instanceof Map || value instanceof Set)
    return `send its entries as an array, or use ${STRUCTURED}`;
  if (value instanceof URL) return 'send its href';
  if (value instanceof Error) return 'send its message';
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    return value instanceof Uint8Array
      ? `send it as base64 text, or use ${STRUCTURED}`
      : `send it as base64 text, or as a Uint8Array with ${STRUCTURED}`;
  }
  if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) {
    return `send null or a text, or use ${STRUCTURED}`;
  }
  if (typeof value === 'bigint') return `send it as text, or use ${STRUCTURED}`;
  if (typeof value === 'object' && value !== null && 'toJSON' in value) {
    return 'let the schema accept the result of its toJSON()';
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
