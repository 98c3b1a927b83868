/** How many handlers started recently, over all consumers of a queue. Pure: times are on any monotonic clock. */
import type { StartsGrant, StartsRequest } from '../broker.js';
import { MAX_GRANT_MS } from '../common/waiting/waiting.js';

/** Starts, ordered by the time until which they count as recent. */
export interface StartCounts {
  /** The longest span that any consumer has requested. Milliseconds. */
  readonly perMs: number;
  /** A time, and how many began at it. Of a grant that is in use: the last time at which it may be used. */
  readonly begun: readonly (readonly [at: number, count: number])[];
}

/** Times are rounded up to this many parts of a span, so that a large limit takes no longer list than a small one. */
const PARTS = 64;

/** How long to wait while grants are in use, which may be returned unused. */
const LOOK_AGAIN_MS = 1000;

/** Grants the starts that the limit leaves. Undefined counts mean no starts. */
export function grantStarts(
  before: StartCounts | undefined,
  { limit, perMs, count, validMs, ended }: StartsRequest,
  now: number,
): { readonly counts: StartCounts; readonly grant: StartsGrant } {
  const grain = Math.max(1, Math.floor(perMs / PARTS));
  const rounded = (at: number) => Math.ceil(at / grain) * grain;
  const longest = Math.max(perMs, before?.perMs ?? 0);
  const begun = new Map<number, number>();
  const add = (at: number, more: number) => begun.set(at, (begun.get(at) ?? 0) + more);
  for (const [at, some] of before?.begun ?? []) {
    // Times that are further ahead are of another clock, and would count for too long.
    const known = at > now + MAX_GRANT_MS + grain ? rounded(now) : at;
    if (known + longest > now) add(known, some);
  }
  if (ended !== undefined) {
    const inUse = begun.get(ended.grant) ?? 0;
    const left = inUse - Math.min(ended.count, inUse);
    if (left === 0) begun.delete(ended.grant);
    else begun.set(ended.grant, left);
    for (const agoMs of ended.usedMsAgo) {
      const at = rounded(now - agoMs);
      if (at + longest > now) add(at, 1);
    }
  }
  const counting = [...begun].sort(([one], [other]) => one - other).filter(([at]) => at + perMs > now);
  const taken = counting.reduce((sum, [, some]) => sum + some, 0);
  const granted = Math.max(0, Math.min(count, limit - taken));
  const validUntil = rounded(now + Math.min(validMs, MAX_GRANT_MS));
  if (granted > 0) add(validUntil, granted);
  const waitMs =
    granted > 0 || count === 0 ? 0 : Math.max(1, waitOf(counting, taken - limit + 1, perMs, now, grain));
  return {
    counts: {
      perMs: begun.size === 0 ? perMs : longest,
      begun: [...begun].sort(([one], [other]) => one - other),
    },
    grant: { grant: validUntil, count: granted, waitMs },
  };
}

/** When the last start stops counting. */
export function idleAt({ perMs, begun }: StartCounts): number {
  return (begun.at(-1)?.[0] ?? Number.NEGATIVE_INFINITY) + perMs;
}

/** Until enough starts no longer count. */
function waitOf(
  counting: StartCounts['begun'],
  tooMany: number,
  perMs: number,
  now: number,
  grain: number,
): number {
  let gone = 0;
  for (const [at, count] of counting) {
    gone += count;
    if (gone < tooMany) continue;
    const isInUse = at > now + grain;
    return isInUse ? Math.min(perMs, LOOK_AGAIN_MS) : at + perMs - now;
  }
  return perMs;
}
