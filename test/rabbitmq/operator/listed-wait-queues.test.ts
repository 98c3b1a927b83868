import { expect, test } from 'vitest';
import type { ListedQueue } from '../../../src/rabbitmq/operator/listed-queue.js';
import { waitQueuesOf } from '../../../src/rabbitmq/operator/listed-wait-queues.js';
import { delaysArgument } from '../../../src/rabbitmq/topology/named-retry-delays.js';

const vhost = '/';
const own: ListedQueue = { name: 'q', vhost, type: 'quorum', consumers: 1, messages: 0 };

function waitQueue(suffix: string, messages = 0): ListedQueue {
  const next = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q' };
  return {
    name: `q.retry.${suffix}`,
    vhost,
    type: 'quorum',
    messages,
    messages_dlx: 0,
    arguments: { 'x-message-ttl': 1, ...next },
  };
}

const consumer = (given: unknown, queue = 'q') => ({ queue: { name: queue, vhost }, arguments: given });

/** The state of each wait queue, while its queue has these consumers. */
function states(consumers: readonly ReturnType<typeof consumer>[], listed: Partial<ListedQueue> = {}) {
  const queues = [{ ...own, ...listed }, waitQueue('1000'), waitQueue('5000'), waitQueue('step.1000')];
  return waitQueuesOf(queues, consumers).map(({ state }) => state);
}

const named = consumer(delaysArgument([0, 5000]));

test('a delay that no policy has is unused while consumers run, except one that handlers may choose', () => {
  expect(states([named])).toEqual(['unused', 'used', 'used']);
  expect(states([consumer(delaysArgument([]))])).toEqual(['unused', 'unused', 'used']);
  expect(waitQueuesOf([own, waitQueue('1000', 1)], [named])).toMatchObject([{ state: 'used', messages: 1 }]);
});

test('what is not known counts as use', () => {
  // Of an earlier version, or of another program.
  expect(states([consumer({})])).toEqual(['used', 'used', 'used']);
  expect(states([consumer(undefined)])).toEqual(['used', 'used', 'used']);
  // Too many delays to name.
  const many = delaysArgument(Array.from({ length: 50_000 }, (_, index) => index + 10_000));
  expect(JSON.stringify(many).length).toBeLessThan(200);
  expect(states([consumer(many)])).toEqual(['used', 'used', 'used']);
  // A consumer that is not listed yet, or is cancelled and still has messages.
  expect(states([named], { consumers: 2 })).toEqual(['used', 'used', 'used']);
  expect(states([consumer(delaysArgument([]), 'other')])).toEqual(['used', 'used', 'used']);
  // Messages of consumers that are gone.
  expect(states([], { consumers: 0, messages_unacknowledged: 1 })).toEqual(['used', 'used', 'used']);
  // A classic queue neither lists nor counts a cancelled consumer that still has messages.
  const classic = { type: 'classic', messages_unacknowledged: 1 };
  expect(states([named], classic)).toEqual(['used', 'used', 'used']);
  expect(states([named], { ...classic, messages_unacknowledged: 0 })).toEqual(['unused', 'used', 'used']);
  expect(states([named], { exclusive: true })).toEqual(['used', 'used', 'used']);
  expect(states([], { consumers: 0, messages_unacknowledged: 0 })).toEqual(['unused', 'unused', 'unused']);
});
