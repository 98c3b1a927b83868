import type { Delivery } from '../../../src/backend.js';
import {
  type Broker,
  connect,
  isQueueError,
  LocalQueue,
  QueueError,
  type QueueErrorCode,
} from '../../../src/index.js';
import type { Equal, Expect } from './equal.js';

const connecting = connect('local:');
connect(['amqp://a', 'amqp://b'], { connectTimeoutMs: 5000 });
// @ts-expect-error: an address is needed
connect();
// @ts-expect-error: a misspelt option
connect('local:', { conectTimeoutMs: 5 });

export type Cases = [Expect<Equal<typeof connecting, Promise<Broker>>>];

export function settle(delivery: Delivery): void {
  delivery.ack();
  // @ts-expect-error: a retry says why
  delivery.retry(5);
  // @ts-expect-error: the codes of dead letters are a closed set
  delivery.deadLetter({ code: 'bored', error: 'x' });
  // @ts-expect-error: a delivery is read-only
  delivery.attempt = 1;
}

export function answer(error: unknown): QueueErrorCode | undefined {
  if (isQueueError(error, 'FULL', 'TIMEOUT')) return error.code;
  // @ts-expect-error: there is no such code
  if (isQueueError(error, 'BUSY')) return error.code;
  // @ts-expect-error: the code must be one of the set
  if (error === undefined) throw new QueueError('BUSY', 'x');
  return undefined;
}

export async function queues(): Promise<number> {
  const queue = new LocalQueue<number>({ capacity: 5 });
  await queue.put(1);
  // @ts-expect-error: not an item of this queue
  await queue.put('1');
  new LocalQueue<string>({ order: { priority: (item) => item.length } });
  // @ts-expect-error: there are three orders
  new LocalQueue<string>({ order: 'random' });
  const item: number | undefined = queue.tryTake();
  return item ?? queue.take();
}
