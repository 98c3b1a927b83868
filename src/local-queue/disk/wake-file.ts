import { closeSync, constants, type FSWatcher, openSync, watch, writeSync } from 'node:fs';
import { join } from 'node:path';

/** See {@link WakeFile}. Nothing in it means anything. */
export const WAKE_FILE = 'wake';

const SOMETHING = Buffer.from('\n');

/**
 * How the processes of a folder wake each other: by writing to a small file, which those watch that wait for messages or
 * for room. The database itself can't say it: what the system reports of its files is written before it is committed,
 * and a commit only changes shared memory. A lost call costs as long as the next look at the database takes to come.
 */
export class WakeFile {
  readonly #descriptor: number;
  #watcher: FSWatcher | undefined;

  constructor(folder: string, onCall: () => void) {
    const path = join(folder, WAKE_FILE);
    this.#descriptor = openSync(path, constants.O_CREAT | constants.O_WRONLY, 0o600);
    try {
      this.#watcher = watch(path, { persistent: false }, () => onCall());
      // What it can't tell then is found at the next look.
      this.#watcher.on('error', () => this.#stopWatching());
    } catch {
      // The system has no watches left: as above.
      this.#watcher = undefined;
    }
  }

  wakeOthers(): void {
    try {
      writeSync(this.#descriptor, SOMETHING, 0, 1, 0);
    } catch {
      // No room on the disk: they look by themselves.
    }
  }

  close(): void {
    this.#stopWatching();
    closeSync(this.#descriptor);
  }

  #stopWatching(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}
