import { statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { QueueError } from '../../../errors.js';
import type { Database } from './database.js';
import type { Statement } from './sqlite.js';

/** The reserve beyond pending writes, so that messages can be taken and acknowledged on a full disk. */
const RESERVE_BYTES = 1024 * 1024;

/** With this much beyond that, the room is not checked again for a while: no disk fills as fast as that. */
const AMPLE_BYTES = 256 * 1024 * 1024;
const LOOK_EVERY_MS = 100;

/** Pages that the file keeps for the next messages. */
const SPARE_PAGES = 1024;
/** Pages that are given back at a time. */
const STEP_PAGES = 256;

/**
 * The room on the disk. SQLite needs some even to delete: changes are written to the log first, and copied to the file
 * from time to time. So messages are refused while there is still room for both.
 *
 * Not checked in every transaction: `stat()` on the log forces a new mtime at the next write, which makes the flush 50 %
 * slower.
 */
export class DiskSpace {
  /** Until then there is no need to call `check` or `spare`. On the clock of `performance.now()`. */
  ampleUntil = 0;
  readonly #database: Database;
  readonly #folder: string;
  readonly #log: string;
  readonly #freePages: Statement;

  constructor(database: Database) {
    this.#database = database;
    this.#folder = dirname(database.file);
    this.#log = `${database.file}-wal`;
    this.#freePages = database.prepare('PRAGMA freelist_count');
  }

  /** Throws `STORAGE_FULL` if there is too little for this many bytes of messages. */
  check(bytes: number): void {
    if (this.#suffices(bytes)) return;
    this.#emptyLog();
    if (this.#suffices(bytes)) return;
    throw new QueueError(
      'STORAGE_FULL',
      `there is no room left for ${this.#database.file}: stored messages are intact; make room on the disk and send again`,
    );
  }

  /**
   * Keeps the log small if the disk is nearly full. To be called after each transaction, unless there is ample room.
   */
  spare(): void {
    if (!this.#suffices(0)) this.#emptyLog();
  }

  /** Not part of a transaction. Throws if others have the lock. */
  giveBack(): void {
    if (this.#freePages.number() < SPARE_PAGES + STEP_PAGES) return;
    this.#database.exec(`PRAGMA incremental_vacuum(${STEP_PAGES})`);
    // The file gets smaller when the log is copied into it.
    this.#database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  }

  /** Unless others read it. */
  #emptyLog(): void {
    this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }

  #suffices(bytes: number): boolean {
    const { bavail, bsize } = statfsSync(this.#folder);
    const logBytes = statSync(this.#log, { throwIfNoEntry: false })?.size ?? 0;
    const spareBytes = bavail * bsize - logBytes - RESERVE_BYTES;
    this.ampleUntil = spareBytes >= AMPLE_BYTES ? performance.now() + LOOK_EVERY_MS : 0;
    return spareBytes >= bytes;
  }
}
