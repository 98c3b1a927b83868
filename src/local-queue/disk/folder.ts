import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { access, link, mkdir, open, realpath, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { quote } from '../../common/options.js';
import { QueueError } from '../../errors.js';
import { SIDE_FILES, STORE_FILE } from './store/database.js';
import { WAKE_FILE } from './wake-file.js';

/** The file of millrace versions before SQLite. */
const OLD_STORE_FILE = 'queue.mdb';

/**
 * File systems on which processes can't share memory, or not with those of another machine, so that SQLite's log would
 * be read in two ways: the file systems' magic numbers, of Linux's statfs(2).
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
  [0x65735546, 'FUSE (a folder of the host in a desktop virtual machine, for example)'],
  [0x6a656a63, 'virtiofs (a folder of the host)'],
]);

/**
 * Creates the folder, for its owner only, if it is missing, and returns its canonical path. Rejects with
 * `STORAGE_ERROR` or `STORAGE_FULL`.
 */
export async function prepareFolder(folder: string): Promise<string> {
  try {
    await makeFolder(resolve(folder));
    const path = await check(folder);
    await makeStoreFile(path);
    return path;
  } catch (error) {
    throw asStorageError(error, folder);
  }
}

/** {@link prepareFolder} for an existing folder. Creates nothing. */
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

/** Throws if this user can't use a file of the folder. Opens none: closing it would end SQLite's locks on it. */
async function checkFiles(folder: string): Promise<void> {
  const store = join(folder, STORE_FILE);
  for (const file of [store, ...SIDE_FILES.map((suffix) => store + suffix), join(folder, WAKE_FILE)]) {
    const stats = await statOf(file);
    if (stats === undefined) continue;
    if (!stats.isFile()) throw new Error(`${file} is no file; move it away, or use another folder`);
    // The last process that closes the database removes its companion files, at any moment.
    await access(file, constants.R_OK | constants.W_OK).catch(unlessMissing);
  }
  const old = join(folder, OLD_STORE_FILE);
  if ((await statOf(store)) === undefined && (await statOf(old)) !== undefined) {
    throw new Error(
      `${old} is a store of millrace 0.1, which this version can't read: handle its messages with that version, then move it away`,
    );
  }
}

/** Creates an empty database, for its owner only; SQLite gives its companion files the same permissions. */
async function makeStoreFile(folder: string): Promise<void> {
  const store = join(folder, STORE_FILE);
  if ((await statOf(store)) !== undefined) return;
  const empty = `${store}-${randomUUID()}`;
  try {
    await (await open(empty, 'wx', 0o600)).close();
    await link(empty, store);
  } catch (error) {
    // Another process was quicker; or the file system has no links, and SQLite creates the file.
    if (!NOT_LINKED.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await rm(empty, { force: true });
  }
}

const NOT_LINKED = ['EEXIST', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** Undefined if there is no such file. */
function statOf(file: string): Promise<Stats | undefined> {
  return stat(file).catch(unlessMissing);
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

/**
 * Creates the folder and its parents. One at a time: if a file system returns ENOENT for every new folder, as /proc
 * does, Node's own recursive `mkdir` never ends (seen with Node 20).
 */
async function makeFolder(folder: string): Promise<void> {
  if ((await statOf(folder))?.isDirectory()) return;
  const parent = dirname(folder);
  if ((await statOf(parent)) === undefined && parent !== folder) await makeFolder(parent);
  await mkdir(folder, { mode: 0o700 }).catch(async (error: NodeJS.ErrnoException) => {
    // Another process was quicker.
    if (error.code === 'EEXIST' && (await statOf(folder))?.isDirectory()) return;
    throw error.code === 'ENOENT'
      ? new Error(`no folder can be created in ${parent}`, { cause: error })
      : error;
  });
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
        : code === 'ENOENT'
          ? `${path} does not exist`
          : code === 'EEXIST' || code === 'ENOTDIR'
            ? 'it, or one of its parents, is a file'
            : code === 'EMFILE' || code === 'ENFILE'
              ? 'the process has no free file descriptors left'
              : message;
  return new QueueError(
    full ? 'STORAGE_FULL' : 'STORAGE_ERROR',
    `the folder ${quote(folder)} can't hold a queue: ${why}`,
    { cause: error },
  );
}
