import { z } from 'zod';
import {
  type BatchHandler,
  type Broker,
  type Consumer,
  createBatchConsumer,
  defineQueue,
} from '../../../src/index.js';
import type { Equal, Expect } from './equal.js';

declare const broker: Broker;

const rows = defineQueue('rows', z.object({ id: z.string() }));
const lengths = defineQueue(
  'lengths',
  z.string().transform((text) => text.length),
);

const consumer = createBatchConsumer(
  broker,
  rows,
  async (batch, { fail, signal, queue }) => {
    const ids: string[] = batch.map(({ value }) => value.id);
    fail(batch[0], new Error(`${ids} ${queue} ${signal.aborted}`));
    // @ts-expect-error: an item of the batch, not its value
    fail(batch[0]?.value, new Error('no'));
    // @ts-expect-error: the batch is read-only
    batch.push(batch[0]);
  },
  { size: 500, waitMs: 200, maxBytes: 1_000_000, concurrency: 2, by: (row) => row.id, maxPostpones: 3 },
);
export type Cases = [Expect<Equal<typeof consumer, Consumer>>];

// What a handler gets is the output of a transformation.
createBatchConsumer(broker, lengths, (batch) => batch.map(({ value }) => value.toFixed()));
// @ts-expect-error: the schema has no such part
createBatchConsumer(broker, rows, (batch) => batch.map(({ value }) => value.total));
// @ts-expect-error: what belongs together is a text
createBatchConsumer(broker, lengths, () => {}, { by: (length) => length });
// @ts-expect-error: a batch holds up no keys
createBatchConsumer(broker, rows, () => {}, { key: (row) => row.id });
// @ts-expect-error: a misspelt option
createBatchConsumer(broker, rows, () => {}, { sise: 5 });

export const handler: BatchHandler<{ id: string }> = async (batch) => batch.length;
createBatchConsumer(broker, rows, handler);
