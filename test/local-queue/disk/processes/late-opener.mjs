// Does what LMDB does when a process opens the store, without the rest, and with the pauses that a busy machine makes
// in it, over and over, each time within the turnstile: reads from the meta pages which transaction is the latest, and
// sets it in the lock file, where the next transaction will begin. Usage: FOLDER
import { openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { META_BYTES, PAGE_SIZE_AT, TRANSACTION_AT } from '../../../../dist/local-queue/disk/meta-pages.js';
import { STORE_FILE, TURNSTILE_FILE } from '../../../../dist/local-queue/disk/store-files.js';
import { Turnstile } from '../../../../dist/local-queue/disk/turnstile.js';

const LATEST_AT = 8;
const LONGEST_PAUSE_MS = 5;

const folder = process.argv[2];
const store = openSync(join(folder, STORE_FILE), 'r');
const lock = openSync(join(folder, `${STORE_FILE}-lock`), 'r+');
const turnstile = new Turnstile(join(folder, TURNSTILE_FILE));
const meta = Buffer.alloc(META_BYTES);
const sleeper = new Int32Array(new SharedArrayBuffer(4));
const pause = () => Atomics.wait(sleeper, 0, 0, Math.random() * LONGEST_PAUSE_MS);

function transactionAt(page) {
  readSync(store, meta, 0, META_BYTES, page);
  return meta.readBigUInt64LE(TRANSACTION_AT);
}

while (true) {
  turnstile.pass(() => {
    const first = transactionAt(0);
    const second = transactionAt(meta.readUInt32LE(PAGE_SIZE_AT));
    pause();
    const latest = Buffer.alloc(8);
    latest.writeBigUInt64LE(first > second ? first : second);
    writeSync(lock, latest, 0, latest.length, LATEST_AT);
  });
  pause();
}
