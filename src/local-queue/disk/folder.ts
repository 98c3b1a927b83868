import { constants } from 'node:fs';
import { access, mkdir, realpath, stat, statfs } from 'node:fs/promises';
import { quote } from '../../common/options.js';
import { QueueError } from '../../errors.js';
import { checkFiles, makeRoomForFiles } from './store-files.js';

/**
 * Where memory maps and locks are not shared between machines, or not at all, so that LMDB would lose data: the file
 * systems' magic numbers, of Linux's statfs(2).
 */
const UNFIT_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0x01021997, '9P'],
  [0x5346414f, 'AFS'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x786f4256, 'VirtualBox shared folder'],
]);

/**
 * Makes the folder, for its owner alone, where it is missing, and says its one true name: the same for all names
 * that lead to it. Rejects with `STORAGE_ERROR` or `STORAGE_FULL`.
 */
export async function prepareFolder(folder: string): Promise<string> {
  try {
    await makeFolder(folder);
    const path = await check(folder);
    await makeRoomForFiles(path);
    return path;
  } catch (error) {
    throw asStorageError(error, folder);
  }
}

/** {@link prepareFolder} for a folder that is there. Makes nothing. */
export async function checkFolder(folder: string): Promise<string> {
  try {
    return await check(folder);
  } catch (error) {
    throw asStorageError(error, folder);
  }
}

async function check(folder: string): Promise<string> {
  const path = await realpath(folder);
  if (!(await stat(path)).isDirectory()) throw new Error('it is not a folder');
  await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  const fileSystem = UNFIT_FILE_SYSTEMS.get((await statfs(path)).type);
  if (fileSystem !== undefined) {
    throw new Error(
      `it is on a file system of type ${fileSystem}, on which processes can't share a store; use a local disk`,
    );
  }
  await checkFiles(path);
  return path;
}

async function makeFolder(folder: string): Promise<void> {
  const mode = 0o700;
  try {
    await mkdir(folder, { recursive: true, mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    // Node says so of a read-only file system, too, when it is to make what leads to the folder; this tells the truth.
    await mkdir(folder, { mode });
  }
}

function asStorageError(error: unknown, folder: string): QueueError {
  const { code, message, path = folder } = error as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const why = full
    ? `there is no room left on its disk (${message})`
    : code === 'EACCES' || code === 'EPERM'
      ? `no permission: ${path} has to be readable and writable for this user`
      : code === 'EROFS'
        ? 'it is on a read-only file system'
        : code === 'EEXIST' || code === 'ENOTDIR'
          ? 'it, or what leads to it, is a file'
          : message;
  return new QueueError(
    full ? 'STORAGE_FULL' : 'STORAGE_ERROR',
    `the folder ${quote(folder)} can't hold a queue: ${why}`,
    { cause: error },
  );
}
