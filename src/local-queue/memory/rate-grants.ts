import type { StartsGrant, StartsRequest } from '../../broker.js';
import { grantStarts, idleAt, type StartCounts } from '../rate-grants.js';

/** Above this number, idle ones are deleted. */
const MANY = 1000;

/**
 * Grants the starts that consumers of a broker in memory count together. `check` throws if the broker can no longer be
 * used. `known`: the counts so far, by queue and key.
 */
export function memoryRateGrants(
  check: () => void,
  known = new Map<string, StartCounts>(),
): (request: StartsRequest) => Promise<StartsGrant> {
  let many = MANY;
  return async (request) => {
    check();
    const now = performance.now();
    const name = JSON.stringify([request.queue, request.key]);
    const { counts, grant } = grantStarts(known.get(name), request, now);
    known.set(name, counts);
    if (known.size > many) {
      for (const [other, its] of known) if (idleAt(its) <= now) known.delete(other);
      many = Math.max(MANY, 2 * known.size);
    }
    return grant;
  };
}
