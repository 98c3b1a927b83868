import { chmodSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { QueueError } from '../../errors.js';
import type { LockWatch } from './lock-watch.js';
import { MAX_PROCESSES, TURNSTILE_FILE } from './store-files.js';
import { PERMISSIONS, Turnstile } from './turnstile.js';

export type Table = Database<Buffer, Buffer>;

/**
 * The tables of the store. Numbers in keys are big-endian, so that keys sort as the numbers do.
 *
 *   queues       name                          → the queue's description, as JSON
 *   counters     queue                         → how many messages it holds, and such
 *   messages     queue, seq                    → the record
 *   ready        queue, 31 - priority, place   → a span that begins there: can be delivered
 *   leases       owner, queue, seq             → a span that begins there: is being handled by that owner
 *   delayed      due time, queue, seq          → the state: waits for its next attempt
 *   owners       owner                         → which process that is, as JSON
 *   subscribers  queue, owner                  → how many
 *
 * A span is the state of its first message and how many follow. A message is in `messages`, and in exactly one of
 * `ready`, `leases` and `delayed`.
 */
export interface Tables {
  readonly root: RootDatabase<Buffer, Buffer>;
  readonly turnstile: Turnstile;
  readonly queues: Table;
  readonly counters: Table;
  readonly messages: Table;
  readonly ready: Table;
  readonly leases: Table;
  readonly delayed: Table;
  readonly owners: Table;
  readonly subscribers: Table;
}

/** Raised when older code can't read what newer code writes, or the other way round. */
const FORMAT_VERSION = 2;
/** Its spans are all of one message; this code goes on with it as it is, and marks it as of its own format. */
const FORMAT_WITHOUT_SPANS = 1;
const FORMAT_KEY = Buffer.from('millrace-format');

/** Flags of `transactionSync`: abortable, and committed before it returns. Flushed, with its meta page. */
const COMMIT: number = 3;

/**
 * MDB_NOMETASYNC, for one transaction: its pages are flushed, the meta page that makes them the current ones is not.
 * A power failure may leave the store as it was before: intact, without this transaction.
 */
const WITHOUT_META_SYNC = 0x40000;

/** Throws `STORAGE_ERROR` where the file is no store of ours, and what LMDB throws. */
export function openTables(file: string, watch?: LockWatch): Tables {
  const turnstile = new Turnstile(join(dirname(file), TURNSTILE_FILE), watch);
  try {
    return turnstile.pass(() => openWithin(turnstile, file));
  } catch (error) {
    void turnstile.close();
    throw error;
  }
}

function openWithin(turnstile: Turnstile, file: string): Tables {
  const root = open<Buffer, Buffer>({
    path: file,
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: 16,
    maxReaders: MAX_PROCESSES,
    // A commit that returns is on disk; LMDB's own order of writes, with no state that only a clean exit restores.
    overlappingSync: false,
    ...PERMISSIONS,
  });
  try {
    chmodSync(file, 0o600);
    return { root, turnstile, ...root.transactionSync(() => openOrMake(root, file), COMMIT) };
  } catch (error) {
    void root.close();
    throw error;
  }
}

/**
 * The only way to write. What the work throws undoes all of it; throws what LMDB throws, too. `mayBeUndone`: by a
 * power failure, though not by the death of any process.
 */
export function transact<T>(
  { root, turnstile }: Tables,
  work: () => T,
  { mayBeUndone = false }: { readonly mayBeUndone?: boolean } = {},
): T {
  return turnstile.pass(() =>
    root.transactionSync(
      () => {
        if (root.getWriteTxnId() === 0) throw new Error('LMDB can not begin a transaction');
        return work();
      },
      mayBeUndone ? COMMIT | WITHOUT_META_SYNC : COMMIT,
    ),
  );
}

function openOrMake(root: RootDatabase<Buffer, Buffer>, file: string): Omit<Tables, 'root' | 'turnstile'> {
  checkFormat(root, file);
  const table = (name: string): Table =>
    root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' });
  return {
    queues: table('queues'),
    counters: table('counters'),
    messages: table('messages'),
    ready: table('ready'),
    leases: table('leases'),
    delayed: table('delayed'),
    owners: table('owners'),
    subscribers: table('subscribers'),
  };
}

export async function closeTables({ root, turnstile }: Tables): Promise<void> {
  // It closes at once, unless somebody reads.
  await turnstile.pass(() => root.close());
  await turnstile.close();
}

function checkFormat(root: RootDatabase<Buffer, Buffer>, file: string): void {
  const found = root.getBinary(FORMAT_KEY)?.toString();
  if (found === String(FORMAT_VERSION)) return;
  if (found !== undefined && found !== String(FORMAT_WITHOUT_SPANS)) {
    throw new QueueError(
      'STORAGE_ERROR',
      `${file} has format ${found}, this version of millrace knows format ${FORMAT_VERSION}: use the version that wrote it, or another folder`,
    );
  }
  if (found === undefined && root.getCount() > 0) {
    throw new QueueError(
      'STORAGE_ERROR',
      `${file} belongs to another program: it is an LMDB file, but no queue of millrace; use another folder`,
    );
  }
  root.putSync(FORMAT_KEY, Buffer.from(String(FORMAT_VERSION)));
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

/** Two 32-bit numbers. */
export function pairKey(first: number, second: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUInt32BE(first, 0);
  bytes.writeUInt32BE(second, 4);
  return bytes;
}

export function messageKey(queue: number, seq: number): Buffer {
  const bytes = Buffer.allocUnsafe(10);
  bytes.writeUInt32BE(queue, 0);
  bytes.writeUIntBE(seq, 4, 6);
  return bytes;
}

export function readyKey(queue: number, priority: number, place: number): Buffer {
  const bytes = Buffer.allocUnsafe(11);
  bytes.writeUInt32BE(queue, 0);
  bytes[4] = 31 - priority;
  bytes.writeUIntBE(place, 5, 6);
  return bytes;
}

export function leaseKey(owner: number, queue: number, seq: number): Buffer {
  const bytes = Buffer.allocUnsafe(14);
  bytes.writeUInt32BE(owner, 0);
  bytes.writeUInt32BE(queue, 4);
  bytes.writeUIntBE(seq, 8, 6);
  return bytes;
}

export function delayedKey(dueAt: number, queue: number, seq: number): Buffer {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeUIntBE(dueAt, 0, 6);
  bytes.writeUInt32BE(queue, 6);
  bytes.writeUIntBE(seq, 10, 6);
  return bytes;
}
