/** Validates with a Standard Schema, even one that resolves later, throws, or returns nonsense. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { errorText, invalidOption, isThenable } from '../options.js';

/**
 * The result of a schema. If a schema throws or rejects, the value is neither valid nor invalid: the fault may be in a
 * service that the schema uses, such as a database, and the same value may pass later.
 */
export type Verdict =
  | { readonly type: 'valid'; readonly value: unknown }
  | { readonly type: 'invalid'; readonly issues: readonly StandardSchemaV1.Issue[] }
  | { readonly type: 'threw'; readonly error: unknown };

/** Never throws, and never rejects. A promise only if the schema is asynchronous. */
export type Validate = (value: unknown) => Verdict | Promise<Verdict>;

/** Throws `INVALID_OPTION`. */
export function validatorOf(schema: StandardSchemaV1): Validate {
  if (typeof schema?.['~standard']?.validate !== 'function') {
    throw invalidOption('schema', 'a Standard Schema such as z.string() of zod 4', schema);
  }
  const standard = schema['~standard'];
  const ask =
    isZod(schema) && mayBeAsync(schema) ? askZod(schema) : (value: unknown) => standard.validate(value);
  return (value) => {
    try {
      const answer: unknown = ask(value);
      return isThenable(answer) ? Promise.resolve(answer).then(toVerdict, threw) : toVerdict(answer);
    } catch (error) {
      return threw(error);
    }
  };
}

function toVerdict(answer: unknown): Verdict {
  if (typeof answer === 'object' && answer !== null) {
    if ('issues' in answer && answer.issues) {
      return { type: 'invalid', issues: answer.issues as readonly StandardSchemaV1.Issue[] };
    }
    if ('value' in answer) return { type: 'valid', value: answer.value };
  }
  return threw(new TypeError('the schema gave neither a value nor issues'));
}

function threw(error: unknown): Verdict {
  // The stack would overflow again for the same value: it is nested too deeply for the schema.
  if (error instanceof RangeError && error.message.includes('call stack'))
    return { type: 'invalid', issues: [{ message: describeThrown(error) }] };
  return { type: 'threw', error };
}

/** The issues in one line, each with its path. */
export function describeIssues(issues: readonly StandardSchemaV1.Issue[]): string {
  const shown = issues.slice(0, 5).map((issue) => {
    const path = pathOf(issue);
    return path === '' ? issue.message : `${path}: ${issue.message}`;
  });
  if (issues.length > shown.length) shown.push(`and ${issues.length - shown.length} more`);
  return shown.join('; ');
}

function pathOf({ path }: StandardSchemaV1.Issue): string {
  return path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.') ?? '';
}

export function describeThrown(error: unknown): string {
  return `the schema threw: ${errorText(error)}`;
}

/** The properties of zod's schemas beyond the standard. `_zod` is zod's interface for authors of libraries. */
interface ZodSchema extends StandardSchemaV1 {
  readonly _zod?: {
    readonly def?: unknown;
    readonly run?: (
      payload: ZodPayload,
      context: { readonly async: true },
    ) => ZodPayload | Promise<ZodPayload>;
  };
  safeParseAsync(value: unknown): Promise<{
    readonly success: boolean;
    readonly data?: unknown;
    readonly error?: { readonly issues: readonly StandardSchemaV1.Issue[] };
  }>;
}

interface ZodPayload {
  readonly value: unknown;
  readonly issues: readonly unknown[];
}

function isZod(schema: StandardSchemaV1): schema is ZodSchema {
  return (
    schema['~standard'].vendor === 'zod' &&
    'safeParseAsync' in schema &&
    typeof schema.safeParseAsync === 'function'
  );
}

/**
 * zod's standard `validate` first runs synchronously, and drops the promise of an asynchronous refinement when it meets
 * one. If that promise rejects, the rejection is unhandled, which ends the process. Called this way, zod awaits it.
 */
function askZod(schema: ZodSchema): (value: unknown) => unknown {
  const run = schema._zod?.run;
  const askWaiting = async (value: unknown) => {
    const { success, data, error } = await schema.safeParseAsync(value);
    return success ? { value: data } : { issues: error?.issues };
  };
  if (typeof run !== 'function') return askWaiting;
  // Awaits only if necessary. These issues have no texts yet, so an invalid value is validated again.
  const answerOf = (value: unknown, { issues, value: parsed }: ZodPayload) =>
    issues.length === 0 ? { value: parsed } : askWaiting(value);
  return (value) => {
    const payload = run({ value, issues: [] }, { async: true });
    return payload instanceof Promise
      ? payload.then((settled) => answerOf(value, settled))
      : payload.issues.length === 0
        ? { value: payload.value }
        : schema['~standard'].validate(value);
  };
}

/** Parts of zod's definitions that are never asynchronous: error texts, defaults, conditions, `trim` and the like. */
const SYNCHRONOUS = new Set(['error', 'defaultValue', 'catchValue', 'when', 'tx']);

/**
 * Whether a zod schema contains functions of its author, which may be asynchronous. Other schemas use the faster
 * synchronous way. True if zod's definitions can't be read.
 */
function mayBeAsync(schema: object): boolean {
  const seen = new Set<object>();
  const search = (node: unknown): boolean => {
    if (typeof node === 'function') return true;
    if (typeof node !== 'object' || node === null || seen.has(node)) return false;
    seen.add(node);
    if (node instanceof RegExp || node instanceof Date) return false;
    if (node instanceof Map || node instanceof Set) return [...node].some(search);
    if ('_zod' in node) return search((node._zod as ZodSchema['_zod'])?.def ?? (() => {}));
    // The function passed to `check()` is not in the definition.
    if ('check' in node && node.check === 'custom') return true;
    return Object.keys(node).some((key) => {
      if (SYNCHRONOUS.has(key)) return false;
      return search((node as Record<string, unknown>)[key]);
    });
  };
  try {
    return search('_zod' in schema ? schema : () => {});
  } catch {
    return true;
  }
}
