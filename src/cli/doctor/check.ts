import { errorText } from '../../common/options.js';
import { EXIT, type ExitCode, exitCodeOf } from '../exit-code.js';

/** One finding of `millrace doctor`. */
export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly text: string;
  /** The remedy. */
  readonly advice?: string;
  /** Further fields for --json. */
  readonly facts?: Readonly<Record<string, unknown>>;
  /** The exit code of a failure; `ok` otherwise. */
  readonly exitCode: ExitCode;
}

export function ok(name: string, text: string, facts: Check['facts'] = {}): Check {
  return { name, status: 'ok', text, facts, exitCode: EXIT.ok };
}

export function warn(name: string, text: string, advice: string, facts: Check['facts'] = {}): Check {
  return { name, status: 'warn', text, advice, facts, exitCode: EXIT.ok };
}

export function fail(
  name: string,
  text: string,
  exitCode: ExitCode,
  advice?: string,
  facts: Check['facts'] = {},
): Check {
  return { name, status: 'fail', text, ...(advice === undefined ? {} : { advice }), facts, exitCode };
}

/** A failed check from an error. It has no advice, since the toolkit's errors include the remedy. */
export function failure(name: string, error: unknown): Check {
  return fail(name, errorText(error), exitCodeOf(error));
}
