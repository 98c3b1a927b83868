// Holds the write lock of a folder until it is killed. Says on standard output that it does. Usage: FOLDER
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { STORE_FILE } from '../../../../dist/local-queue/disk/store/database.js';
import { loadSqlite } from '../../../../dist/local-queue/disk/store/sqlite.js';

const database = new (loadSqlite().DatabaseSync)(join(process.argv[2], STORE_FILE));
database.exec('PRAGMA busy_timeout = 60000');
database.exec('BEGIN IMMEDIATE');
writeSync(1, 'held\n');
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
