import { constants } from 'node:fs';
import { access, appendFile, mkdir, open, realpath, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { QueueError } from '../../errors.js';
import { quote } from '../../options.js';

/** The one file that holds everything, besides LMDB's lock file next to it and the doorbell. */
export const STORE_FILE = 'queue.mdb';

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
 * that lead to it. Rejects with `STORAGE_ERROR`.
 */
export async function prepareFolder(folder: string): Promise<string> {
  try {
    await makeFolder(folder);
    const path = await realpath(folder);
    if (!(await stat(path)).isDirectory()) throw new Error('it is not a folder');
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    const fileSystem = UNFIT_FILE_SYSTEMS.get((await statfs(path)).type);
    if (fileSystem !== undefined) {
      throw new Error(
        `it is on a file system of type ${fileSystem}, on which processes can't share a store; use a local disk`,
      );
    }
    await checkFile(join(path, STORE_FILE));
    return path;
  } catch (error) {
    throw asStorageError(error, folder);
  }
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
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === 'EACCES' || code === 'EPERM'
      ? 'no permission: it has to be readable and writable for this user'
      : code === 'EROFS'
        ? 'it is on a read-only file system'
        : code === 'EEXIST' || code === 'ENOTDIR'
          ? 'it, or what leads to it, is a file'
          : message;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  return new QueueError(
    full ? 'STORAGE_FULL' : 'STORAGE_ERROR',
    `the folder ${quote(folder)} can't hold a queue: ${why}`,
    { cause: error },
  );
}

// Of LMDB's meta pages, the first two of the file: https://github.com/LMDB/lmdb, libraries/liblmdb/mdb.c, MDB_meta.
const MAGIC_AT = 24;
const MAGIC = 0xbeefc0de;
const VERSION_AT = 28;
const PAGE_SIZE_AT = 48;
const LAST_PAGE_AT = 144;
const TRANSACTION_AT = 152;
const META_BYTES = 160;

/** LMDB leaves out pages at the end that it took and gave back within one transaction. */
const SPARE_PAGES = 256;

/**
 * LMDB maps the file into memory and believes what it finds there: on a file that is cut off, or is none of its own,
 * the process would be killed by a signal. So this looks first, and changes nothing.
 */
async function checkFile(file: string): Promise<void> {
  const damaged = (how: string): Error =>
    new Error(`${file} is damaged or no store of millrace: ${how}; move it away, or use another folder`);
  const handle = await open(file, constants.O_RDWR).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return;
  try {
    // Just made by another process, which has not written to it.
    if ((await handle.stat()).size === 0) return;
    const first = await readMeta(0);
    const pageSize = first.readUInt32LE(PAGE_SIZE_AT);
    if (pageSize < 256 || pageSize > 65_536) throw damaged(`a page size of ${pageSize}`);
    const second = await readMeta(pageSize);
    const newest =
      first.readBigUInt64LE(TRANSACTION_AT) >= second.readBigUInt64LE(TRANSACTION_AT) ? first : second;
    const needed = (Number(newest.readBigUInt64LE(LAST_PAGE_AT)) + 1) * pageSize;
    // Only now: other processes write meanwhile, and the pages are there before the meta page that counts them.
    const { size } = await handle.stat();
    if (size + SPARE_PAGES * pageSize < needed) {
      throw damaged(`it has ${size} bytes, and ${needed} by what it says itself`);
    }
    if (size < needed) await lengthen(file, needed - size);
  } finally {
    await handle.close();
  }

  async function readMeta(at: number): Promise<Buffer> {
    const meta = Buffer.alloc(META_BYTES);
    const { bytesRead } = await (handle as NonNullable<typeof handle>).read(meta, 0, META_BYTES, at);
    if (bytesRead < META_BYTES || meta.readUInt32LE(MAGIC_AT) !== MAGIC)
      throw damaged('it does not begin as one');
    const version = meta.readUInt32LE(VERSION_AT) & 0xffff;
    if (version !== 2) throw damaged(`it is of LMDB's data version ${version}`);
    return meta;
  }
}

/**
 * Makes up for pages that are missing at the end: a hole reads as zeros, which LMDB answers with an error; behind the
 * end it would be a signal. By appending, because whatever names an offset (so does setting the length) could hit what
 * another process has written there since.
 */
async function lengthen(file: string, bytes: number): Promise<void> {
  try {
    await appendFile(file, Buffer.alloc(bytes));
  } catch (error) {
    // Then nobody can have lost pages just now, and what is there can still be drained.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
