import { z } from 'zod';
import {
  type Broker,
  type ConsumerEvent,
  createConsumer,
  defineQueue,
  type Handler,
  type HeaderValue,
  Postpone,
  type Received,
  RetryLater,
  receive,
} from '../../../src/index.js';
import type { Equal, Expect } from './equal.js';

declare const broker: Broker;

const orders = defineQueue('orders', z.object({ id: z.string() }));
const lengths = defineQueue(
  'lengths',
  z.string().transform((text) => text.length),
);

createConsumer(broker, orders, (order, context) => {
  const id: string = order.id;
  const attempt: number = context.attempt;
  const signal: AbortSignal = context.signal;
  const tenant: HeaderValue | undefined = context.headers.tenant;
  return { id, attempt, signal, tenant };
});
createConsumer(broker, orders, async () => {});
// Each field has a default.
createConsumer(broker, orders, async () => {}, { breaker: {} });
// What a handler gets is the output of a transformation.
createConsumer(broker, lengths, (length: number) => length);
// @ts-expect-error: that is the input
createConsumer(broker, lengths, (text: string) => text);
// @ts-expect-error: not what the schema gives
createConsumer(broker, orders, (order: { id: number }) => order);
createConsumer(broker, orders, (order) => {
  // @ts-expect-error: the schema has no such part
  return order.total;
});
// @ts-expect-error: a handler is needed
createConsumer(broker, orders);
// @ts-expect-error: a handler is a function
createConsumer(broker, orders, { handle: () => {} });
// @ts-expect-error: the name alone does not tell the type
createConsumer(broker, 'orders', () => {});
createConsumer(broker, orders, (_order, context) => {
  // @ts-expect-error: the context is read-only
  context.attempt = 1;
});

const handler: Handler<{ id: string }> = async ({ id }) => id;
createConsumer(broker, orders, handler, {
  concurrency: 4,
  prefetch: 8,
  retry: { delaysMs: [1000] },
  handlerTimeoutMs: 5000,
  observe(event) {
    if (event.type === 'retried') event.delayMs satisfies number;
    // @ts-expect-error: only a retry has a delay
    if (event.type === 'handled') event.delayMs;
  },
});
// @ts-expect-error: a misspelt option
createConsumer(broker, orders, handler, { concurency: 4 });
// @ts-expect-error: delays are a list
createConsumer(broker, orders, handler, { retry: { delaysMs: 1000 } });
createConsumer(broker, orders, handler, { retry: { attempts: 5, backoff: 'exponential', jitter: 0.5 } });
createConsumer(broker, orders, handler, {
  retry: { attempts: 5, backoff: (attempt) => attempt * 1000, maxDelayMs: 60_000 },
  maxPostpones: 3,
});
// @ts-expect-error: either a list or a rule
createConsumer(broker, orders, handler, { retry: { delaysMs: [1000], attempts: 5 } });
// @ts-expect-error: a rule says how often
createConsumer(broker, orders, handler, { retry: { backoff: 'exponential' } });
// @ts-expect-error: a rule is known by name, or a function
createConsumer(broker, orders, handler, { retry: { attempts: 5, backoff: 'linear' } });
// @ts-expect-error: the policy has a name
createConsumer(broker, orders, handler, { retry: [1000] });

/** Every kind of event is known: a new one has to be answered here. */
export function describe(event: ConsumerEvent): string {
  switch (event.type) {
    case 'handled':
    case 'retried':
    case 'postponed':
    case 'dead-lettered':
    case 'expired':
    case 'released':
    case 'slow':
    case 'lost':
    case 'reply-failed':
    case 'settle-failed':
      return event.id;
    case 'paused':
    case 'resumed':
    case 'ended':
      return event.queue;
  }
}

const loop = receive(broker, lengths);
export type Cases = [
  Expect<
    Equal<typeof loop, { [Symbol.asyncIterator](): AsyncIterableIterator<Received<number>, undefined> }>
  >,
];

export async function loops(): Promise<void> {
  for await (const item of receive(broker, orders, { prefetch: 5 })) {
    const id: string = item.value.id;
    item.ack();
    // @ts-expect-error: the schema has no such part
    await item.deadLetter(item.value.total ?? id);
  }
  // @ts-expect-error: a misspelt option
  receive(broker, orders, { concurrency: 5 });
}

createConsumer(broker, orders, handler, { key: (order) => order.id });
createConsumer(broker, orders, handler, { key: (order) => [order.id, 'all'] });
createConsumer(broker, lengths, () => {}, { key: (length) => String(length) });
// @ts-expect-error: the key is a string
createConsumer(broker, lengths, () => {}, { key: (length) => length });
// @ts-expect-error: the schema has no such part
createConsumer(broker, orders, handler, { key: (order) => order.total });

const later: Error & { readonly delayMs: number } = new RetryLater(1000, 'busy', { cause: unknownCause() });
const postponed: Error & { readonly delayMs: number } = new Postpone(1000);
// @ts-expect-error: the delay is needed
new Postpone();
// @ts-expect-error: the delay is a number
new RetryLater('1s');
export const errors = [later, postponed];
declare function unknownCause(): unknown;
