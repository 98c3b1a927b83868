import { createRequire } from 'node:module';
import { QueueError } from '../../errors.js';

/**
 * lmdb is an optional dependency: those who never name a folder need not have it. Throws `STORAGE_ERROR` where it is
 * missing, before anything that imports it is loaded.
 */
export function checkLmdb(): void {
  try {
    createRequire(import.meta.url).resolve('lmdb');
  } catch (error) {
    throw new QueueError(
      'STORAGE_ERROR',
      "queues on disk need the package 'lmdb', which is not installed: npm install lmdb",
      { cause: error },
    );
  }
}
