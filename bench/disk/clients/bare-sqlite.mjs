import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { bodyOf } from '../../order.mjs';
import { WINDOW } from '../window.mjs';

const require = createRequire(import.meta.url);
const [major] = process.versions.node.split('.').map(Number);
const { DatabaseSync } = require(major >= 22 ? 'node:sqlite' : '@photostructure/sqlite');

const SHARE = 500;
const cell = new Int32Array(new SharedArrayBuffer(4));

/**
 * The floor of a queue that processes share: rows in one SQLite database, stored, leased and deleted by hand, in the
 * thread of the program, with no validation, no encoding and no handler. Each commit is flushed; the lock is shared as
 * millrace shares it.
 */
export async function open({ place, queue, size }) {
  const database = new DatabaseSync(join(place, `${queue}.bare.db`));
  // Whoever opens the database first has the lock while it makes the tables.
  database.exec('PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec(`
    CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, body BLOB NOT NULL, lease INTEGER) STRICT;
    CREATE INDEX IF NOT EXISTS ready ON message (id) WHERE lease IS NULL;
    PRAGMA busy_timeout = 0;
  `);
  const insert = database.prepare('INSERT INTO message (body) VALUES (?)');
  const select = database.prepare('SELECT id, body FROM message WHERE lease IS NULL ORDER BY id LIMIT ?');
  const lease = database.prepare('UPDATE message SET lease = ? WHERE id = ?');
  const remove = database.prepare('DELETE FROM message WHERE id = ?');
  const count = database.prepare('SELECT count(*) AS left FROM message');
  const body = bodyOf(size);
  let metAt = Number.NEGATIVE_INFINITY;

  function transaction(work) {
    while (!began()) {
      metAt = performance.now();
      Atomics.wait(cell, 0, 0, 0.05 + Math.random() * 0.75);
    }
    const result = work();
    database.exec('COMMIT');
    if (performance.now() - metAt < 100) Atomics.wait(cell, 0, 0, 0.1 + Math.random() * 0.9);
    return result;
  }

  function began() {
    try {
      database.exec('BEGIN IMMEDIATE');
      return true;
    } catch (error) {
      if (!/locked|busy/i.test(error.message)) throw error;
      return false;
    }
  }

  return {
    async publishAll(number) {
      for (let sent = 0; sent < number; sent += WINDOW) {
        transaction(() => {
          for (let i = sent; i < Math.min(number, sent + WINDOW); i++) insert.run(body);
        });
        await nextTurn();
      }
    },
    async consume(onMessage) {
      let stopped = false;
      async function work() {
        let done = [];
        while (!stopped || done.length > 0) {
          done = transaction(() => {
            for (const { id } of done) remove.run(id);
            const rows = stopped ? [] : select.all(SHARE);
            for (const { id } of rows) lease.run(Date.now(), id);
            return rows;
          });
          for (const _ of done) onMessage();
          await (done.length === 0 && !stopped ? delay(1) : nextTurn());
        }
      }
      const ended = work();
      return async () => {
        stopped = true;
        await ended;
      };
    },
    countLeft: async () => count.get().left,
    close: async () => database.close(),
  };
}
