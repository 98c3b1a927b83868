/** A fast producer and a consumer that takes a millisecond for each message, for a while, in one process. */
import { setTimeout as delay } from 'node:timers/promises';
import { watchMemory } from '../memory-watch.mjs';
import { withClient } from './client-run.mjs';

export const timesItself = true;

/** How many messages are sent before it is asked whether the time is over. */
const BATCH = 2000;

export function memory({ seconds, ...options }) {
  return withClient({ ...options, leavesMessages: true }, (client) =>
    watchMemory(seconds, {
      async produce(done, count) {
        while (!done()) {
          await client.publishAll(BATCH);
          count.produced += BATCH;
        }
      },
      async consume(done, count) {
        let last = Promise.resolve();
        const stop = await client.consume(() => {
          count.consumed++;
          last = last.then(() => delay(1));
          return last;
        });
        while (!done()) await delay(50);
        await stop();
        // What came until the broker had heard of it is handled, too.
        for (let seen; seen !== last; ) {
          seen = last;
          await seen;
        }
      },
    }),
  );
}
