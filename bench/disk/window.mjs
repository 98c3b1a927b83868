/** How many messages are sent at once, and not yet stored. */
export const WINDOW = 1000;

/** How many messages are handled at once. */
export const CONCURRENCY = 100;

/** Calls `send` with the numbers of up to WINDOW messages at a time, for clients that store a list in one go. */
export async function inBatches(count, send) {
  for (let first = 0; first < count; first += WINDOW) await send(Math.min(WINDOW, count - first));
}
