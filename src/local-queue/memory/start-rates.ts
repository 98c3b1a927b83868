import type { StartsGrant, StartsRequest } from '../../broker.js';
import { grantStarts, idleAt, type StartCounts } from '../start-counts.js';

/** Above this number, idle ones are deleted. */
const MANY = 1000;

/** The starts that consumers of a broker in memory count together, by queue and key. */
export class MemoryStartRates {
  readonly #counts = new Map<string, StartCounts>();
  #many = MANY;

  take(request: StartsRequest): StartsGrant {
    const now = performance.now();
    const name = JSON.stringify([request.queue, request.key]);
    const { counts, grant } = grantStarts(this.#counts.get(name), request, now);
    this.#counts.set(name, counts);
    if (this.#counts.size > this.#many) this.#forgetIdle(now);
    return grant;
  }

  #forgetIdle(now: number): void {
    for (const [name, counts] of this.#counts) if (idleAt(counts) <= now) this.#counts.delete(name);
    this.#many = Math.max(MANY, 2 * this.#counts.size);
  }
}
