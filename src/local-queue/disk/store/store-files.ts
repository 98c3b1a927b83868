import { statSync } from 'node:fs';
import { QueueError } from '../../../errors.js';
import { type Database, SIDE_FILES } from './database.js';
import type { Statement } from './sqlite.js';
import { RESCUE } from './storage-error.js';

/** How often the files are checked, at most. */
const CHECK_EVERY_MS = 500;

/** Pages at the end that SQLite may not have written, in bytes: its own tolerance when it copies the log. */
const TOLERANCE_BYTES = 64 * 1024;

/** Checks that the files of the open database are still those that were opened, and that the file is not cut off. */
export class StoreFiles {
  /** Until then there is no need to call `check`. On the clock of `performance.now()`. */
  checkedUntil = performance.now() + CHECK_EVERY_MS;
  readonly #file: string;
  readonly #log: string;
  readonly #pageBytes: number;
  readonly #pages: Statement;
  readonly #identities: ReadonlyMap<string, string>;

  constructor(database: Database) {
    const { file } = database;
    this.#file = file;
    this.#log = `${file}-wal`;
    this.#pageBytes = database.prepare('PRAGMA page_size').number();
    this.#pages = database.prepare('PRAGMA page_count');
    this.#identities = new Map(['', ...SIDE_FILES].map((end) => [file + end, identityOf(file + end)]));
  }

  /** Throws `STORAGE_ERROR` if a file was removed or replaced: writes are lost then. */
  check(): void {
    this.checkedUntil = performance.now() + CHECK_EVERY_MS;
    for (const [file, identity] of this.#identities) {
      if (identityOf(file) === identity) continue;
      throw new QueueError(
        'STORAGE_ERROR',
        `${file} was removed or replaced while it was open: messages confirmed in the last half second may be lost; open the folder again`,
      );
    }
  }

  /** Throws `STORAGE_ERROR` if the file lacks pages. Only in a transaction: others change the size meanwhile. */
  checkSize(): void {
    if (!this.#isCutOff) return;
    throw new QueueError(
      'STORAGE_ERROR',
      `${this.#file} was cut off or overwritten while it was open: ${RESCUE}, or restore a backup`,
    );
  }

  /** Whether the next transaction has to check them. */
  get seemChanged(): boolean {
    try {
      this.check();
      if (!this.#isCutOff) return false;
    } catch {
      // The transaction reports it.
    }
    this.checkedUntil = Number.NEGATIVE_INFINITY;
    return true;
  }

  /** Pages that the file does not have yet are in the log, which does not shrink before they are copied. */
  get #isCutOff(): boolean {
    const size = sizeOf(this.#file);
    const needed = this.#pages.number() * this.#pageBytes - sizeOf(this.#log) - TOLERANCE_BYTES;
    return size < Math.max(needed, this.#pageBytes);
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function identityOf(file: string): string {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats === undefined ? 'none' : `${stats.dev}/${stats.ino}`;
}
