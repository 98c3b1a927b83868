import { randomUUID } from 'node:crypto';

/**
 * Opens the client on a queue of its own. `close` fails where messages are left: one that came again, or that was
 * not acknowledged.
 *
 * @param {{ client?: string, place?: string, queue?: string, size?: number }} options
 */
export async function openClient({ client: name, place, size = 100, queue = newQueueName() }) {
  const { open } = await import(`./clients/${name}.mjs`);
  const client = await open({ place, queue, size });
  const close = async () => {
    try {
      const left = await client.countLeft();
      if (left > 0) throw new Error(`failed: ${left} messages are left in the queue`);
    } finally {
      await client.close();
    }
  };
  return { client, close };
}

export function newQueueName() {
  return `bench-${randomUUID()}`;
}
