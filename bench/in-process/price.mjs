/** The cost of each step of the path of a message: the steps are added one at a time. */
import { tracingChannel } from 'node:diagnostics_channel';
import { z } from 'zod';
import { connect, createConsumer, createMetrics, createProducer, defineQueue } from '../millrace.mjs';
import { orderOf, orderSchema } from '../order.mjs';

const nothing = () => {};
const LISTENERS = { start: nothing, end: nothing, asyncStart: nothing, asyncEnd: nothing, error: nothing };

/** A schema that takes everything, so that nothing is validated. */
const unchecked = { '~standard': { version: 1, vendor: 'bench', validate: (value) => ({ value }) } };

const TEXT = JSON.stringify(orderOf(1_000_000));

/** As long as the others, but for the tags. */
function tagged(id) {
  return { id, at: new Date(id), tags: new Set(['new', 'paid']), text: 'x'.repeat(40) };
}

/** `part` is what is added to sending a text that exists already to a handler that does nothing. */
const PARTS = {
  nothing: { schema: unchecked, codec: 'text', value: () => TEXT },
  'a string schema': { schema: z.string(), codec: 'text', value: () => TEXT },
  'the JSON codec': { schema: unchecked, codec: 'json', value: orderOf },
  'the JSON codec and an object schema': { schema: orderSchema, codec: 'json', value: orderOf },
  'the structured codec': { schema: unchecked, codec: 'structured', value: orderOf },
  'the structured codec, with a date and a set': { schema: unchecked, codec: 'structured', value: tagged },
  'tracing, with a listener': { schema: unchecked, codec: 'text', value: () => TEXT, traced: true },
  metrics: { schema: unchecked, codec: 'text', value: () => TEXT, measured: true },
  observe: { schema: unchecked, codec: 'text', value: () => TEXT, observe: () => {} },
  'an empty list of functions around it': { schema: unchecked, codec: 'text', value: () => TEXT, around: [] },
  'a function around it': { schema: unchecked, codec: 'text', value: () => TEXT, around: [(next) => next()] },
  'a handler time limit off': {
    schema: unchecked,
    codec: 'text',
    value: () => TEXT,
    handlerTimeoutMs: Number.POSITIVE_INFINITY,
  },
  'a retry of every tenth message': { schema: unchecked, codec: 'text', value: () => TEXT, failEvery: 10 },
};

export async function withPart({ count, part }) {
  const { schema, codec, value, observe, around, handlerTimeoutMs, failEvery = 0 } = PARTS[part];
  const { traced = false, measured = false } = PARTS[part];
  if (traced)
    for (const name of ['millrace.send', 'millrace.process']) tracingChannel(name).subscribe(LISTENERS);
  const metrics = measured ? createMetrics() : undefined;
  const broker = await connect('local:');
  const queue = defineQueue('orders', schema, { codec });
  let started = 0;
  let handled = 0;
  let finish;
  const all = new Promise((resolve) => {
    finish = resolve;
  });
  const handler = async (_value, { attempt }) => {
    started++;
    if (failEvery > 0 && attempt === 1 && started % failEvery === 0) throw new Error('on purpose');
    if (++handled === count) finish();
  };
  const options = { observe, around, handlerTimeoutMs, retry: { delaysMs: [0] } };
  const consumer = createConsumer(broker, queue, handler, options);
  await consumer.start();
  const producer = createProducer(broker, queue, { around });
  for (let i = 0; i < count; i++) await producer.send(value(i));
  await all;
  await consumer.stop();
  await broker.close();
  metrics?.stop();
}
