import type { QueueSpec } from '../broker.js';

/** As RabbitMQ is asked for it: a quorum queue that never gives up on a letter, whatever the main queue is. */
export function deadLetterSpecOf({ deadLetter }: QueueSpec): QueueSpec | undefined {
  if (deadLetter === false) return undefined;
  return {
    name: deadLetter.queue,
    declare: 'match',
    type: 'quorum',
    durable: true,
    exclusive: false,
    autoDelete: false,
    capacity: deadLetter.capacity,
    deadLetter: false,
    deliveryLimit: undefined,
    delayedRetry: undefined,
    maxPriority: undefined,
    arguments: {},
  };
}
