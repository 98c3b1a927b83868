import { constants } from 'node:os';
import { ABORT, open, type RootDatabase } from 'lmdb';
import type { LockWatch } from './lock-watch.js';
import { storageError } from './storage-error.js';
import { TURNSTILE_ADVICE } from './store-files.js';

/** Of the files that LMDB makes; not among its declared options. */
export const PERMISSIONS = { permissionsMode: 0o600 };

/** Of `transactionSync`: one that can be aborted. It is always aborted. */
const ABORTABLE = 1;

/** Enough for an empty store. */
const MAP_BYTES = 64 * 1024;

/**
 * Lets one at a time of all threads and processes of a folder open the store or write to it.
 *
 * LMDB's own write lock is not enough. The LMDB of lmdb 3.5.6 has an old error (ITS#9496, mended in LMDB itself): a
 * process that opens a store reads from it which transaction is the latest, and sets that number in the lock file a
 * moment later, without the write lock. Whoever begins next begins from there: commits in between would be written
 * over, and readers be given pages that are no longer theirs. So the store is opened and closed, and each transaction
 * made, in here.
 *
 * It is the write lock of an LMDB file of its own, in which nothing is ever written, so that the error can do no harm
 * to it: a lock that is free again when its holder dies, which Node has no other for.
 */
export class Turnstile {
  readonly #file: string;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #watch: LockWatch | undefined;

  /** Throws `STORAGE_ERROR` or `STORAGE_FULL`. `watch` is told of each wait for the lock. */
  constructor(file: string, watch?: LockWatch) {
    this.#file = file;
    this.#watch = watch;
    this.#root = this.#wait(() =>
      open<Buffer, Buffer>({
        path: file,
        noSubdir: true,
        encoding: 'binary',
        keyEncoding: 'binary',
        mapSize: MAP_BYTES,
        overlappingSync: false,
        ...PERMISSIONS,
      }),
    );
  }

  /** Waits until it is free. Returns what `work` returns, throws what it throws; or `STORAGE_ERROR`. */
  pass<T>(work: () => T): T {
    let outcome: (() => T) | undefined;
    this.#wait(() =>
      this.#root.transactionSync(() => {
        this.#watch?.end();
        if (this.#root.getWriteTxnId() === 0) throw new Error('LMDB can not take its write lock');
        outcome = outcomeOf(work);
        return ABORT;
      }, ABORTABLE),
    );
    return (outcome as () => T)();
  }

  /** When the store is closed, not before. */
  close(): Promise<void> {
    return this.#root.close();
  }

  #wait<T>(wait: () => T): T {
    this.#watch?.begin();
    try {
      return wait();
    } catch (error) {
      throw storageError(error, this.#file, TURNSTILE_ADVICE);
    } finally {
      this.#watch?.end();
    }
  }
}

function outcomeOf<T>(work: () => T): () => T {
  try {
    const result = work();
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/**
 * Whether opening an LMDB file failed because its last user closed it in that very moment: that one destroys the
 * locks, and LMDB does not notice. It is a matter of opening it once more; but lmdb keeps what it has opened until the
 * thread ends.
 */
export function isWithoutLocks(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return code === constants.errno.EINVAL || cause?.code === constants.errno.EINVAL;
}
