import { isQueueError, type QueueErrorCode } from '../errors.js';

/** The exit codes of `millrace`. Those from 64 on follow sysexits.h; 128 + n stands for signal n. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** Part of the work was done. */
  partial: 3,
  /** Nothing found: the queue is empty or does not exist. */
  empty: 4,
  invalidData: 65,
  unreachable: 69,
  /** Worth another attempt: no room or no answer in time, or no queue for the message. */
  temporary: 75,
  accessRefused: 77,
  configuration: 78,
  hungUp: 129,
  interrupted: 130,
  quit: 131,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends the command with a line on standard error and this exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

const BY_CODE: Readonly<Record<QueueErrorCode, ExitCode>> = {
  INVALID_OPTION: EXIT.usage,
  INVALID_MESSAGE: EXIT.invalidData,
  TOO_LARGE: EXIT.invalidData,
  FULL: EXIT.temporary,
  TIMEOUT: EXIT.temporary,
  ABORTED: EXIT.failed,
  UNROUTABLE: EXIT.temporary,
  REFUSED: EXIT.failed,
  UNCONFIRMED: EXIT.temporary,
  QUEUE_MISSING: EXIT.empty,
  QUEUE_MISMATCH: EXIT.configuration,
  UNREACHABLE: EXIT.unreachable,
  ACCESS_REFUSED: EXIT.accessRefused,
  BROKER_ERROR: EXIT.failed,
  STORAGE_FULL: EXIT.temporary,
  STORAGE_ERROR: EXIT.configuration,
  REMOTE_ERROR: EXIT.failed,
  DEADLOCK: EXIT.failed,
  UNSUPPORTED: EXIT.usage,
  CLOSED: EXIT.failed,
};

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommandError) return error.exitCode;
  if (!isQueueError(error)) return EXIT.failed;
  if (error.progress !== undefined && error.progress.stored > 0) return EXIT.partial;
  // `sendMany` wraps the error of its input, or the reason of its abort.
  if (error.code === 'ABORTED' && error.cause !== undefined) return exitCodeOf(error.cause);
  return BY_CODE[error.code];
}
