/** What compiles, and what must not. Run by the compiler alone (see test/package/types.process.test.ts). */
import { z } from 'zod';
import { type Codec, defineQueue, type Queue } from '../../../src/index.js';
import type { Equal, Expect } from './equal.js';

const order = z.object({ id: z.string(), total: z.number() });
interface Order {
  id: string;
  total: number;
}

const orders = defineQueue('orders', order);
const lengths = defineQueue(
  'lengths',
  z.string().transform((text) => text.length),
);
const copies = defineQueue('copies', z.object({ count: z.number().default(1) }));

export type Cases = [
  Expect<Equal<typeof orders, Queue<Order, Order>>>,
  Expect<Equal<typeof lengths, Queue<string, number>>>,
  Expect<Equal<typeof copies, Queue<{ count?: number | undefined }, { count: number }>>>,
];

defineQueue('texts', z.string(), { codec: 'text' });
defineQueue('texts', z.enum(['a', 'b']), { codec: 'text' });
defineQueue('dates', z.object({ at: z.date() }), { codec: 'structured' });
defineQueue('files', z.instanceof(Uint8Array), { codec: 'bytes' });
// @ts-expect-error: 'text' is for strings
defineQueue('orders', order, { codec: 'text' });
// @ts-expect-error: 'text' is for strings alone
defineQueue('mixed', z.union([z.string(), z.number()]), { codec: 'text' });
// @ts-expect-error: 'bytes' is for Uint8Array
defineQueue('texts', z.string(), { codec: 'bytes' });
// @ts-expect-error: there is no such codec
defineQueue('orders', order, { codec: 'xml' });

const csv: Codec = { contentType: 'text/csv', encode: String, decode: String };
defineQueue('rows', order, { codec: csv });
// @ts-expect-error: a codec decodes, too
defineQueue('rows', order, { codec: { contentType: 'text/csv', encode: String } });

// @ts-expect-error: a queue has a schema
defineQueue('orders');
// @ts-expect-error: a type is no schema
defineQueue('orders', String);
// @ts-expect-error: a name is a string
defineQueue(5, order);
// @ts-expect-error: a misspelt option
defineQueue('orders', order, { capcity: 5 });
// @ts-expect-error: there are two types of queue
defineQueue('orders', order, { type: 'stream' });
// @ts-expect-error: there are three ways to declare
defineQueue('orders', order, { declare: 'passive' });
// @ts-expect-error: a capacity is a number
defineQueue('orders', order, { capacity: '10' });
// @ts-expect-error: deadLetter has no such option
defineQueue('orders', order, { deadLetter: { name: 'morgue' } });

// @ts-expect-error: a queue is fixed once it is defined
orders.spec.capacity = 5;
