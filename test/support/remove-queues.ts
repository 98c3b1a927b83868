import { inject } from 'vitest';
import { managementApi } from './broker.js';
import { eventually } from './eventually.js';

/**
 * Deletes the queues whose names begin with `prefix`, and those of schedules so named, however many a test has led the
 * broker to make. Without the management API nobody can list them, and they stay.
 */
export async function removeQueues(prefix: string): Promise<void> {
  if (inject('broker').managementUrl === undefined) return;
  const queues = (await managementApi('GET', '/api/queues?disable_stats=true')) as QueueInfo[];
  const ours = queues.filter(({ name }) => name.replace('millrace.schedule.', '').startsWith(prefix));
  await Promise.all(ours.map(removeQueue));
}

function removeQueue({ vhost, name }: QueueInfo): Promise<true> {
  const path = `/api/queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`;
  return eventually(async () => {
    try {
      await managementApi('DELETE', path);
    } catch (error) {
      // An exclusive queue goes with its connection, a moment after that was closed: until then it is locked.
      if (/ answered 400: .*exclusive access/.test(String(error))) return false;
      if (!/ answered 404/.test(String(error))) throw error;
    }
    return true;
  });
}

interface QueueInfo {
  readonly vhost: string;
  readonly name: string;
}
