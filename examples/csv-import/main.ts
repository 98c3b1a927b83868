/** A CSV file goes into a queue: memory stays flat, bad rows are told, and a restart sends each row under the same id. */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createProducer, defineQueue } from 'millrace';
import { z } from 'zod';

const ROWS = 3000;
const GRAINS = ['rye', 'wheat', 'oats'];

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'csv-import' },
  },
});
const rowSchema = z.object({
  id: z.string(),
  grain: z.enum(GRAINS),
  kilos: z.coerce.number<string>().positive(),
});
const broker = await connect(values.url);
// With room for 100 rows the file is read as fast as they are handled.
const deliveries = defineQueue(values.prefix, rowSchema, { capacity: 100 });

/** As a file comes, where this would be `createReadStream(path)`. */
function* file(): Generator<string> {
  yield 'id,grain,kilos\n';
  for (let id = 1; id <= ROWS; id++)
    yield `${id},${GRAINS[id % 3]},${id === 1234 ? 'many' : (id % 50) + 1}\n`;
}

async function* rows(): AsyncGenerator<z.input<typeof rowSchema>> {
  let names: string[] | undefined;
  // A real file has quotes: use a parser of CSV.
  for await (const line of createInterface({ input: Readable.from(file()) })) {
    const cells = line.split(',');
    if (names === undefined) names = cells;
    else
      yield Object.fromEntries(names.map((name, column) => [name, cells[column]])) as z.input<
        typeof rowSchema
      >;
  }
}

const kilos: Record<string, number> = {};
const consumer = createConsumer(
  broker,
  deliveries,
  (row) => {
    kilos[row.grain] = (kilos[row.grain] ?? 0) + row.kilos;
  },
  { prefetch: 100 },
);
await consumer.start();
const { stored, skipped } = await createProducer(broker, deliveries).sendMany(rows(), {
  each: ({ id }) => ({ id: `delivery-${id}` }),
  onInvalid: 'skip',
  // For each row, which waits for room.
  timeoutMs: Number.POSITIVE_INFINITY,
});
console.log(`${stored} rows stored, ${skipped?.count} skipped`);
for (const { position, error } of skipped?.first ?? []) console.log(`row ${position + 1}: ${error.message}`);
while (consumer.counts.handled < stored) await sleep(10);
await consumer.stop();
await broker.close();
console.log(GRAINS.map((grain) => `${kilos[grain]} kg of ${grain}`).join(', '));
