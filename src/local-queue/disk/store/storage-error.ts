import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { isQueueError, QueueError } from '../../../errors.js';

/** Primary result codes of SQLite, and their texts: the package omits the code of some errors. */
const CODES = {
  busy: [5, 'database is locked'],
  perm: [3, 'access permission denied'],
  readonly: [8, 'attempt to write a readonly database'],
  ioerr: [10, 'disk I/O error'],
  corrupt: [11, 'database disk image is malformed'],
  full: [13, 'database or disk is full'],
  cantopen: [14, 'unable to open database file'],
  notadb: [26, 'file is not a database'],
} as const;

type Code = keyof typeof CODES;

/** What to do about a damaged file. */
export const RESCUE =
  "move the file away with its '-wal' and '-shm' to start with an empty store, and keep them to rescue their messages";

/** The error for a fault in a file of the store. `file` is the database. */
export function storageError(error: unknown, file: string): QueueError {
  if (isQueueError(error)) return error;
  const { message } = error instanceof Error ? error : new Error(String(error));
  const code = sqliteCode(error);
  const isOfDisk = code === 'ioerr' || code === 'cantopen';
  if (code === 'full' || /ENOSPC|EDQUOT/.test(message) || (isOfDisk && isFull(file))) {
    const text = `there is no room left for ${file} (${message}): stored messages are intact; make room on the disk and send again`;
    return new QueueError('STORAGE_FULL', text, { cause: error });
  }
  return new QueueError('STORAGE_ERROR', `${file} can't be used: ${reason(code, message)}`, { cause: error });
}

const NEXT_TO_NOTHING_BYTES = 1024 * 1024;

/** Whether the disk is full: SQLite reports an I/O error if it can't create its companion files. */
function isFull(file: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize < NEXT_TO_NOTHING_BYTES;
  } catch {
    return false;
  }
}

/** Whether it will be the same the next time. */
export function isFatal(error: unknown): boolean {
  if (isQueueError(error)) return error.code === 'STORAGE_ERROR';
  const code = sqliteCode(error);
  return code === 'corrupt' || code === 'notadb' || (code === undefined && !isOfSqlite(error));
}

/** Whether others have the lock. */
export function isBusy(error: unknown): boolean {
  return sqliteCode(error) === 'busy';
}

function reason(code: Code | undefined, message: string): string {
  switch (code) {
    case 'notadb':
      return `it is damaged or not a store of millrace (${message}); ${RESCUE}`;
    case 'corrupt':
      return `it is damaged (${message}); ${RESCUE}`;
    case 'readonly':
    case 'perm':
      return `no permission to write to it, or to its '-wal' and '-shm' (${message})`;
    case 'cantopen':
      return `it can't be opened (${message}): this user needs permission for it, its '-wal', its '-shm' and their folder, and the process needs free file descriptors`;
    case 'ioerr':
      return `the disk or its file system reports an error (${message})`;
    default:
      return message;
  }
}

/** Undefined if it is not an error of SQLite, or not relevant here. */
function sqliteCode(error: unknown): Code | undefined {
  if (!isOfSqlite(error)) return undefined;
  const { errcode, message } = error as { readonly errcode?: number; readonly message: string };
  const names = Object.keys(CODES) as Code[];
  return names.find((name) => {
    const [number, text] = CODES[name];
    return errcode === undefined ? message.includes(text) : (errcode & 0xff) === number;
  });
}

function isOfSqlite(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_SQLITE_ERROR';
}
