/** The floor of a durable send: a row of the same size, inserted and committed by itself, flushed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createHistogram } from 'node:perf_hooks';
import { latencyOf, sendEach } from '../flows.mjs';
import { bodyOf } from '../order.mjs';
import { stopwatch } from '../stopwatch.mjs';

export const staysOpen = true;

const require = createRequire(import.meta.url);
const [major] = process.versions.node.split('.').map(Number);
const { DatabaseSync } = require(major >= 22 ? 'node:sqlite' : '@photostructure/sqlite');

export async function bareInsert({ place, count, warmUpCount, size = 100 }) {
  const folder = mkdtempSync(join(place, 'bare-'));
  const database = new DatabaseSync(join(folder, 'bare.db'));
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec('CREATE TABLE message (id INTEGER PRIMARY KEY, body BLOB) STRICT');
  const insert = database.prepare('INSERT INTO message (body) VALUES (?)');
  const body = bodyOf(size);
  const client = { send: async () => insert.run(body) };
  await sendEach(client, warmUpCount, createHistogram());
  return {
    async turn() {
      const histogram = createHistogram();
      const stopWatch = stopwatch(count);
      await sendEach(client, count, histogram);
      return { ...stopWatch(), latency: latencyOf(histogram) };
    },
    async close() {
      database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
