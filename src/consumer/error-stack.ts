/** The stack of an error as a message carries it: with its causes, and without anything else that is on the error. */
import { types } from 'node:util';
import { cutToBytes, MAX_STACK_BYTES } from '../common/message/failure-headers.js';

/** The error, its causes, and the errors of an `AggregateError`. */
const MAX_ERRORS = 6;
const MAX_DEPTH = 4;

interface Part {
  /** How it is reached from the error before it. */
  readonly label: string;
  readonly depth: number;
  readonly text: string;
}

/**
 * The stack of a thrown error, and below it those of its `cause` and `errors`, indented as Node.js prints them. Undefined
 * if it says no more than the error's text. Other properties, which may be secret, are left out. Never throws. At most
 * 4096 bytes of UTF-8, shared among the errors.
 */
export function stackOf(thrown: unknown): string | undefined {
  const parts: Part[] = [];
  try {
    collect(thrown, '', 0, parts, new Set());
  } catch {
    // A getter or a proxy that throws: what was found before it counts.
  }
  const [first, ...causes] = parts;
  if (first === undefined || (causes.length === 0 && isBare(thrown, first.text))) return undefined;
  let left = MAX_STACK_BYTES;
  const texts: string[] = [];
  for (const [index, { label, depth, text }] of parts.entries()) {
    const indent = '  '.repeat(depth);
    const whole = index === 0 ? text : `\n${indent}${label}${text.replaceAll('\n', `\n${indent}`)}`;
    const share = cutToBytes(whole, Math.floor(left / (parts.length - index)));
    texts.push(share);
    left -= Buffer.byteLength(share);
  }
  return texts.join('');
}

/**
 * The same error, for one that a timer or the toolkit raises: its stack, which would only name the toolkit, becomes its
 * text.
 */
export function withoutFrames<E extends Error>(error: E): E {
  error.stack = String(error);
  return error;
}

function collect(thrown: unknown, label: string, depth: number, parts: Part[], seen: Set<unknown>): void {
  if (parts.length >= MAX_ERRORS || depth > MAX_DEPTH || seen.has(thrown)) return;
  seen.add(thrown);
  if (!isError(thrown)) {
    if (depth > 0 && typeof thrown === 'string') parts.push({ label, depth, text: beginOf(thrown) });
    return;
  }
  parts.push({ label, depth, text: textOf(thrown) });
  if ('cause' in thrown) collect(thrown.cause, '[cause]: ', depth + 1, parts, seen);
  if ('errors' in thrown && Array.isArray(thrown.errors)) {
    for (const error of thrown.errors.slice(0, MAX_ERRORS)) {
      collect(error, '[errors]: ', depth + 1, parts, seen);
    }
  }
}

/** Errors of another realm, too. */
function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error;
}

/** The stack, or without one the name and the text. */
function textOf(error: Error): string {
  try {
    const { stack } = error;
    if (typeof stack === 'string' && stack !== '') return beginOf(stack);
  } catch {
    // A getter that throws.
  }
  try {
    return beginOf(String(error));
  } catch {
    return 'an error that cannot be shown';
  }
}

/** A text of any length is cut before anything else is done with it. */
function beginOf(text: string): string {
  return text.slice(0, MAX_STACK_BYTES + 1);
}

function isBare(error: unknown, text: string): boolean {
  try {
    return text === beginOf(String(error)) || text === 'an error that cannot be shown';
  } catch {
    return true;
  }
}
