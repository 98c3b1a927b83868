import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { access, appendFile, link, open, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  LAST_PAGE_AT,
  MAGIC,
  MAGIC_AT,
  META_BYTES,
  PAGE_SIZE_AT,
  TRANSACTION_AT,
  VERSION_AT,
} from './meta-pages.js';

/** Holds everything. */
export const STORE_FILE = 'queue.mdb';

/** Holds nothing: see `Turnstile`. */
export const TURNSTILE_FILE = 'turnstile.mdb';

/** See `Doorbell`. */
export const DOORBELL_FILE = 'doorbell';

/** What to do about a turnstile that can't be used. */
export const TURNSTILE_ADVICE =
  'it holds no messages: when no process uses the folder, remove it and open the folder again';

const STORE_ADVICE = 'move it away, or use another folder';

/** More than LMDB's lock file ever takes, with {@link MAX_PROCESSES}. */
const LOCK_BYTES = 68 * 1024;

/** Processes of one folder. LMDB's lock file has a slot for each. */
export const MAX_PROCESSES = 1024;

/** More than LMDB writes to begin a store. */
const FIRST_BYTES = 64 * 1024;

/** LMDB leaves out pages at the end that it took and gave back within one transaction. */
const SPARE_PAGES = 256;

/** What LMDB puts its locks in, next to the file itself. */
const lockOf = (file: string): string => `${file}-lock`;

/**
 * Throws where LMDB could not open the files of the folder, and changes nothing. Because LMDB maps files into memory
 * and believes what it finds there, and lmdb 3.5.6 goes on with memory that it has given back when opening fails, the
 * process would be killed by a signal.
 */
export async function checkFiles(folder: string): Promise<void> {
  const turnstile = join(folder, TURNSTILE_FILE);
  const store = join(folder, STORE_FILE);
  for (const file of [lockOf(turnstile), lockOf(store), join(folder, DOORBELL_FILE)]) await checkAccess(file);
  await checkContents(turnstile, TURNSTILE_ADVICE);
  await checkContents(store, STORE_ADVICE);
}

/** Never opens it: whatever of a lock file a process closes ends all its locks on it, LMDB's, too. */
async function checkAccess(file: string): Promise<void> {
  const stats = await statOf(file);
  if (stats === undefined) return;
  await access(file, constants.R_OK | constants.W_OK);
  if (!stats.isFile()) throw new Error(`${file} is no file; move it away, or use another folder`);
}

/**
 * Where there are no files yet. On a full disk LMDB would leave half of them, and the process be killed by a signal:
 * the lock file is mapped into memory, and only at the first write to it is room looked for.
 */
export async function makeRoomForFiles(folder: string): Promise<void> {
  for (const file of [join(folder, TURNSTILE_FILE), join(folder, STORE_FILE)]) {
    const lock = lockOf(file);
    if (await isMissing(lock)) {
      // Another process may be quicker; and where the file system has no links, LMDB makes its own.
      await withZeros(lock, LOCK_BYTES, (zeros) => link(zeros, lock).catch(() => {}));
    }
    if (await isMissing(file)) await withZeros(file, FIRST_BYTES, () => Promise.resolve());
  }
}

/** Has a file of zeros, with its room on the disk, for as long as `use` takes. */
async function withZeros(file: string, bytes: number, use: (zeros: string) => Promise<void>): Promise<void> {
  const zeros = `${file}-${randomUUID()}`;
  try {
    await writeFile(zeros, Buffer.alloc(bytes), { flag: 'wx', mode: 0o600 });
    await use(zeros);
  } finally {
    await rm(zeros, { force: true });
  }
}

/** Or empty, as LMDB leaves it where it could not go on. */
async function isMissing(file: string): Promise<boolean> {
  return ((await statOf(file))?.size ?? 0) === 0;
}

/** Undefined where there is no such file. */
async function statOf(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Throws where it is no LMDB file, or is cut off. */
async function checkContents(file: string, advice: string): Promise<void> {
  const damaged = (how: string): Error =>
    new Error(`${file} is damaged or no store of millrace: ${how}; ${advice}`);
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
