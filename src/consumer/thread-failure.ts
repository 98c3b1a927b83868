import { errorText } from '../common/error-text.js';

/** What was thrown on the other side of a thread: a structured clone would lose most of it. */
export interface ThreadFailure {
  readonly isRejection: boolean;
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly stack: string | undefined;
}

/** An error as it crosses between threads. Never throws. */
export function toFailure(error: unknown): ThreadFailure {
  const message = errorText(error);
  if (!(error instanceof Error)) {
    return { isRejection: false, name: 'Error', message, code: undefined, stack: undefined };
  }
  const { name, stack } = error;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return { isRejection: name === 'RejectMessage', name, message, code, stack };
}

/** An error that came from the other side. */
export function toError({ name, message, code, stack }: ThreadFailure): Error {
  const error = new Error(message);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return code === undefined ? error : Object.assign(error, { code });
}
