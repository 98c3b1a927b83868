import { z } from 'zod';
import {
  type Broker,
  createProducer,
  defineQueue,
  type Producer,
  type SendManyResult,
} from '../../../src/index.js';
import type { Equal, Expect } from './equal.js';

declare const broker: Broker;

const orders = defineQueue('orders', z.object({ id: z.string(), note: z.string().optional() }));
const lengths = defineQueue(
  'lengths',
  z.string().transform((text) => text.length),
);
const producer = createProducer(broker, orders);
const ofLengths = createProducer(broker, lengths);

export type Cases = [
  Expect<Equal<typeof ofLengths, Producer<string>>>,
  Expect<Equal<Awaited<ReturnType<typeof producer.send>>, { readonly id: string }>>,
  Expect<Equal<Awaited<ReturnType<typeof producer.trySend>>, { readonly id: string } | undefined>>,
  Expect<Equal<Awaited<ReturnType<typeof producer.sendMany>>, SendManyResult>>,
];

export async function sends(): Promise<void> {
  await producer.send({ id: 'A-1' });
  await producer.send({ id: 'A-1', note: 'x' }, { id: '1', headers: { a: 'b' }, priority: 5, timeoutMs: 5 });
  await producer.send({ id: 'A-1' }, { signal: AbortSignal.timeout(5) });
  // @ts-expect-error: not what the schema takes
  await producer.send({ id: 5 });
  // @ts-expect-error: a part is missing
  await producer.send({});
  // @ts-expect-error: the schema has no such part
  await producer.send({ id: 'A-1', totl: 5 });
  // @ts-expect-error: a value is needed
  await producer.send();
  await producer.send(
    { id: 'A-1' },
    { headers: { count: 5, big: 5n, at: new Date(0), list: [null, { a: true }] } },
  );
  // @ts-expect-error: no header is a function
  await producer.send({ id: 'A-1' }, { headers: { count: () => 5 } });
  // @ts-expect-error: a misspelt option
  await producer.send({ id: 'A-1' }, { timeout: 5 });
  // @ts-expect-error: trySend takes the same values
  await producer.trySend({ id: 5 });

  // What is sent is the input of a transformation, not its output.
  await ofLengths.send('four');
  // @ts-expect-error: that is the output
  await ofLengths.send(4);
}

export async function sendsMany(): Promise<void> {
  async function* letters() {
    yield 'a';
  }
  await ofLengths.sendMany(['a', 'b']);
  await ofLengths.sendMany(new Set(['a']));
  await ofLengths.sendMany(letters(), { timeoutMs: 5 });
  // @ts-expect-error: numbers are the output
  await ofLengths.sendMany([1, 2]);
  // @ts-expect-error: an async iterable of the wrong type
  await producer.sendMany(letters());
  // @ts-expect-error: one value is no iterable of values
  await producer.sendMany({ id: 'A-1' });
  // @ts-expect-error: one id is not for all of them
  await ofLengths.sendMany(['a'], { id: '1' });
  await producer.send({ id: 'A-1' }, { delayMs: 5000 });
  await producer.send({ id: 'A-1' }, { at: new Date() });
  // @ts-expect-error: a time is a Date
  await producer.send({ id: 'A-1' }, { at: '2030-01-01' });
  await producer.sendMany([], {
    each: ({ id }, index) => ({ id: `${id}-${index}`, priority: 5, headers: { id } }),
    onInvalid: 'skip',
    onProgress: ({ stored }) => stored.toFixed(),
  });
  // @ts-expect-error: the value is the input, a text
  await ofLengths.sendMany(['a'], { each: (value: number) => ({ id: value.toFixed() }) });
  // @ts-expect-error: no time limit for each
  await ofLengths.sendMany(['a'], { each: () => ({ timeoutMs: 5 }) });
  const { stored, skipped } = await ofLengths.sendMany(['a']);
  stored satisfies number;
  // @ts-expect-error: set with onInvalid alone
  skipped.count;
}

// @ts-expect-error: the name alone does not tell the type
createProducer(broker, 'orders');
// @ts-expect-error: a misspelt option
createProducer(broker, orders, { timeout: 5 });
