import { z } from 'zod';
import {
  type Broker,
  createRequester,
  defineQueue,
  isQueueError,
  type RemoteFailure,
  type Requester,
} from '../../../src/index.js';
import type { Equal, Expect } from './equal.js';

declare const broker: Broker;

const orders = defineQueue('orders', z.object({ id: z.string() }));
const requester = createRequester(broker, orders, { reply: z.object({ total: z.number() }), timeoutMs: 500 });
// The reply is the output of its schema.
const lengths = createRequester(broker, orders, { reply: z.string().transform((text) => text.length) });
export type Cases = [
  Expect<Equal<typeof requester, Requester<{ id: string }, { total: number }>>>,
  Expect<Equal<typeof lengths, Requester<{ id: string }, number>>>,
];

export async function requests(): Promise<void> {
  const { total } = await requester.request({ id: 'A-1' }, { timeoutMs: 100, priority: 9 });
  total satisfies number;
  // @ts-expect-error: the schema of the reply has no such part
  (await requester.request({ id: 'A-1' })).sum;
  // @ts-expect-error: not what the queue takes
  await requester.request({ id: 1 });
  // @ts-expect-error: a misspelt option
  await requester.request({ id: 'A-1' }, { timeout: 100 });
  // @ts-expect-error: the correlation id is the requester's
  await requester.request({ id: 'A-1' }, { correlationId: 'c1' });
  // @ts-expect-error: a reply has a schema
  createRequester(broker, orders, { timeoutMs: 100 });
  // @ts-expect-error: the schema of the reply is asked for
  createRequester(broker, orders);
  const error: unknown = new Error();
  if (isQueueError(error, 'REMOTE_ERROR')) error.remote satisfies RemoteFailure | undefined;
  await requester.close();
}
