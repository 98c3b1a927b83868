import { inject } from 'vitest';
import { managementApi } from './broker.js';

/**
 * Deletes the queues whose names begin with `prefix`, and those of schedules so named, however many a test has led the broker to make. Without the
 * management API nobody can list them, and they stay.
 */
export async function removeQueues(prefix: string): Promise<void> {
  if (inject('broker').managementUrl === undefined) return;
  const queues = (await managementApi('GET', '/api/queues?disable_stats=true')) as QueueInfo[];
  const ours = queues.filter(({ name }) => name.replace('millrace.schedule.', '').startsWith(prefix));
  await Promise.all(
    ours.map(({ vhost, name }) =>
      managementApi('DELETE', `/api/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`).catch(
        (error) => {
          // It went with its connection meanwhile.
          if (!/ answered 404/.test(String(error))) throw error;
        },
      ),
    ),
  );
}

interface QueueInfo {
  readonly vhost: string;
  readonly name: string;
}
