import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { isQueueError, QueueError } from '../../errors.js';

/** What LMDB and the file system say when there is no room: the map's size, the disk, the quota. */
const FULL = /MDB_MAP_FULL|no space left|ENOSPC|disk quota|EDQUOT|file too large|EFBIG/i;

/** What LMDB makes of a write that the system cut short, because the disk became full in the middle of it. */
const SHORT_WRITE = /input\/output error|EIO/i;

const NEXT_TO_NOTHING_BYTES = 1024 * 1024;

function isFull(file: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize < NEXT_TO_NOTHING_BYTES;
  } catch {
    return false;
  }
}

const ADVICE = 'move the file away to begin with an empty store, and keep it to rescue what it holds';

export function storageError(error: unknown, file: string, advice: string = ADVICE): QueueError {
  if (isQueueError(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  if (FULL.test(text) || (SHORT_WRITE.test(text) && isFull(file))) {
    return new QueueError(
      'STORAGE_FULL',
      `there is no room left for ${file} (${text}): what is stored is unharmed; make room on the disk and send again`,
      { cause: error },
    );
  }
  return new QueueError('STORAGE_ERROR', `${file} can't be used (${text}): if it stays so, ${advice}`, {
    cause: error,
  });
}
