import { setTimeout as delay } from 'node:timers/promises';
import type { Broker } from '../../../broker.js';

const INTERVAL_MS = 100;

/**
 * The broker counts a message as gone from the queue when it hands it over, before it has arrived here: only some
 * looks in a row at which nothing is anywhere tell that there is nothing.
 */
const LOOKS = 3;

/** Resolves when the queue is empty and `activity` has stayed the same, with nothing in flight, for a while. */
export async function untilIdle(
  broker: Broker,
  queue: string,
  activity: () => { readonly taken: number; readonly inFlight: number },
  signal: AbortSignal,
): Promise<void> {
  let taken = -1;
  for (let idle = 0; idle < LOOKS; ) {
    await delay(INTERVAL_MS, undefined, { signal });
    const { ready } = await broker.inspect(queue, { signal });
    const now = activity();
    idle = ready === 0 && now.inFlight === 0 && now.taken === taken ? idle + 1 : 0;
    taken = now.taken;
  }
}
