import { chmodSync } from 'node:fs';
import { type Database, open, type RootDatabase } from 'lmdb';
import { QueueError } from '../../errors.js';

export type Table = Database<Buffer, Buffer>;

/**
 * The tables of the store. Numbers in keys are big-endian, so that keys sort as the numbers do.
 *
 *   queues       name                          → the queue's description, as JSON
 *   counters     queue                         → how many messages it holds, and such
 *   messages     queue, seq                    → the record
 *   ready        queue, 31 - priority, place   → the state: can be delivered
 *   leases       owner, queue, seq             → the state: is being handled by that owner
 *   delayed      due time, queue, seq          → the state: waits for its next attempt
 *   owners       owner                         → which process that is, as JSON
 *   subscribers  queue, owner                  → how many
 *
 * A message is in `messages`, and in exactly one of `ready`, `leases` and `delayed`.
 */
export interface Tables {
  readonly root: RootDatabase<Buffer, Buffer>;
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
const FORMAT_VERSION = 1;
const FORMAT_KEY = Buffer.from('millrace-format');

/** Processes of one folder. LMDB's lock file has a slot for each. */
const MAX_READERS = 1024;

/** Throws `STORAGE_ERROR` where the file is no store of ours, and what LMDB throws. */
export function openTables(file: string): Tables {
  const root = open<Buffer, Buffer>({
    path: file,
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: 16,
    maxReaders: MAX_READERS,
    // A commit that returns is on disk; LMDB's own order of writes, with no state that only a clean exit restores.
    overlappingSync: false,
    ...PERMISSIONS,
  });
  chmodSync(file, 0o600);
  try {
    checkFormat(root, file);
    const table = (name: string): Table =>
      root.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' });
    return {
      root,
      queues: table('queues'),
      counters: table('counters'),
      messages: table('messages'),
      ready: table('ready'),
      leases: table('leases'),
      delayed: table('delayed'),
      owners: table('owners'),
      subscribers: table('subscribers'),
    };
  } catch (error) {
    void root.close();
    throw error;
  }
}

/** Of the files that LMDB makes; not among its declared options. */
const PERMISSIONS = { permissionsMode: 0o600 };

function checkFormat(root: RootDatabase<Buffer, Buffer>, file: string): void {
  root.transactionSync(() => {
    const found = root.getBinary(FORMAT_KEY)?.toString();
    if (found === String(FORMAT_VERSION)) return;
    if (found !== undefined) {
      throw new QueueError(
        'STORAGE_ERROR',
        `${file} has format ${found}, this version of millrace knows format ${FORMAT_VERSION}: use the version that wrote it, or another folder`,
      );
    }
    if (root.getCount() > 0) {
      throw new QueueError(
        'STORAGE_ERROR',
        `${file} belongs to another program: it is an LMDB file, but no queue of millrace; use another folder`,
      );
    }
    root.putSync(FORMAT_KEY, Buffer.from(String(FORMAT_VERSION)));
  });
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
