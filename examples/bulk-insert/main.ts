/** Rows on their way into SQLite: one by one, in batches, and with one among them that the table refuses. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  type Broker,
  type Consumer,
  connect,
  createBatchConsumer,
  createConsumer,
  createProducer,
  deadLetters,
  defineQueue,
  type Queue,
} from 'millrace';
import { z } from 'zod';
import { type Row, Table } from './table.ts';

const ROWS = 300;
const SIZE = 100;

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'rows' },
  },
});
const schema = z.object({ id: z.number(), amount: z.number() });
const folder = await mkdtemp(join(tmpdir(), 'bulk-insert-'));

/** Sends the rows, and waits until each is in the table or a dead letter. */
async function run(
  name: string,
  rows: readonly Row[],
  consume: (broker: Broker, queue: Queue<Row>, table: Table) => Consumer,
): Promise<{ readonly table: Table; readonly seconds: string; readonly refused: string[] }> {
  const broker = await connect(values.url);
  const queue = defineQueue(`${values.prefix}-${name}`, schema);
  const table = new Table(join(folder, `${name}.db`));
  await createProducer(broker, queue).sendMany(rows);
  const consumer = consume(broker, queue, table);
  const begin = performance.now();
  await consumer.start();
  while (consumer.counts.handled + consumer.counts.deadLettered < rows.length) await sleep(1);
  const seconds = ((performance.now() - begin) / 1000).toFixed(2);
  await consumer.stop();
  const { deadLetters: found } = await deadLetters(broker, queue).list();
  await deadLetters(broker, queue).drop();
  await broker.close();
  return { table, seconds, refused: found.map(({ error }) => error) };
}

const good = Array.from({ length: ROWS }, (_, id) => ({ id, amount: id + 1 }));

const single = await run('single', good, (broker, queue, table) =>
  createConsumer(broker, queue, (row) => table.insert([row])),
);
console.log(
  `one by one       ${single.table.count} rows, ${single.table.transactions} transactions, ${single.seconds} s`,
);

const batched = await run('batched', good, (broker, queue, table) =>
  createBatchConsumer(broker, queue, (batch) => table.insert(batch.map(({ value }) => value)), {
    size: SIZE,
    waitMs: 500,
  }),
);
console.log(
  `in batches       ${batched.table.count} rows, ${batched.table.transactions} transactions, ${batched.seconds} s`,
);

const oneBad = good.map((row) => (row.id === 123 ? { ...row, amount: -1 } : row));
const divided = await run('divided', oneBad, (broker, queue, table) =>
  createBatchConsumer(broker, queue, (batch) => table.insert(batch.map(({ value }) => value)), {
    size: SIZE,
    waitMs: 500,
    retry: { delaysMs: [50] },
  }),
);
console.log(
  `one is refused   ${divided.table.count} rows, ${divided.refused.length} dead letter: ${divided.refused}`,
);

for (const { table } of [single, batched, divided]) table.close();
await rm(folder, { recursive: true });
