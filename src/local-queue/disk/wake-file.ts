import { closeSync, constants, type FSWatcher, openSync, watch, writeSync } from 'node:fs';
import { join } from 'node:path';

/** See {@link WakeFile}. Its content has no meaning. */
export const WAKE_FILE = 'wake';

const SOMETHING = Buffer.from('\n');

/**
 * The processes of a folder wake each other by writing to a small file, which is watched by those that wait for messages
 * or for room. Watching the database would not do: its files change before the commit, and the commit only changes
 * shared memory. A lost notification is picked up by the next poll.
 */
export class WakeFile {
  readonly #descriptor: number;
  #watcher: FSWatcher | undefined;

  constructor(folder: string, onCall: () => void) {
    const path = join(folder, WAKE_FILE);
    this.#descriptor = openSync(path, constants.O_CREAT | constants.O_WRONLY, 0o600);
    try {
      this.#watcher = watch(path, { persistent: false }, () => onCall());
      // From here on, the next poll picks up what is missed.
      this.#watcher.on('error', () => this.#stopWatching());
    } catch {
      // The system has no watches left; polling must suffice.
      this.#watcher = undefined;
    }
  }

  wakeOthers(): void {
    try {
      writeSync(this.#descriptor, SOMETHING, 0, 1, 0);
    } catch {
      // No room on the disk: the others find out by polling.
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
