import { closeSync, constants, type FSWatcher, openSync, watch, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DOORBELL_FILE } from './store-files.js';

const ANY_BYTE = Buffer.from('!');

/**
 * How processes of one folder wake each other: who has something for others writes to a small file that all of them
 * watch. A ring that is missed, because its process died between the commit and the ring or because the system does
 * not tell, costs the time until the next look at the store, no message.
 */
export class Doorbell {
  readonly #fd: number;
  readonly #watcher: FSWatcher | undefined;

  constructor(folder: string, onRing: () => void) {
    const file = join(folder, DOORBELL_FILE);
    this.#fd = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      this.#watcher = watch(file, { persistent: false }, onRing);
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      // No watches left on this system: looking from time to time has to do.
      this.#watcher = undefined;
    }
  }

  ring(): void {
    try {
      writeSync(this.#fd, ANY_BYTE, 0, 1, 0);
    } catch {
      // The disk is full, for example: the others look by themselves.
    }
  }

  close(): void {
    this.#watcher?.close();
    closeSync(this.#fd);
  }
}
