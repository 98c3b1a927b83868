import type { Backend, StartsGrant, StartsRequest } from '../../broker.js';
import { MAX_GRANT_MS } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import type { Rate } from './rate.js';
import type { StartWindow } from './rate-window.js';

/** Asks for starts of handlers, of a queue. */
export type TakeStarts = (request: Omit<StartsRequest, 'queue'>) => Promise<StartsGrant>;

interface SharedRateWindowSettings extends Pick<Rate, 'limit' | 'perMs'> {
  readonly key: string;
  readonly takeStarts: TakeStarts;
  /** Called when an answer has come. */
  readonly onAnswer: () => void;
  /** Called when all starts are used, for a call of `tell` after a moment. */
  readonly onUsedUp: (window: SharedRateWindow) => void;
}

/** Throws `UNSUPPORTED`. */
export function takeStartsOf(broker: Backend, queue: string): TakeStarts {
  if (broker.takeStarts === undefined) {
    throw new QueueError(
      'UNSUPPORTED',
      `rate.per: 'queue' works on local brokers, not at ${broker.url}: divide the limit among the consumers, or use x-single-active-consumer`,
    );
  }
  const takeStarts = broker.takeStarts.bind(broker);
  return (request) => takeStarts({ ...request, queue });
}

/** How long a start may be used that was granted. Short: those of a process that dies count as used. */
const VALID_MS = 1000;
/** The maximum per request. */
const MAX_BLOCK = 256;
/** How long to wait after a request that failed. */
const ASK_AGAIN_MS = 500;

/**
 * A window that consumers share: it requests a few starts from the broker, in blocks that grow while they are used up
 * quickly, and reports when each was used.
 *
 *   empty ──nextAt──► asking ──granted──► has starts ──used up, too old──► empty
 *     ▲                  └──none left──► waiting ──waitMs──┐
 *     └────────────────────────────────────────────────────┘
 */
export class SharedRateWindow implements StartWindow {
  readonly #settings: SharedRateWindowSettings;
  /** The grants that have not ended. */
  #grant: { readonly grant: number; readonly count: number } | undefined;
  #left = 0;
  #grantedAt = 0;
  #validUntil = Number.NEGATIVE_INFINITY;
  /** When starts of the grant were used. */
  #used: number[] = [];
  #lastUsed = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  /** Whether a granted start will be used. */
  #isWanted = false;
  #askAt = Number.NEGATIVE_INFINITY;
  #block = 1;
  #validMs = VALID_MS;

  constructor(settings: SharedRateWindowSettings) {
    this.#settings = settings;
  }

  nextAt(now: number, waiting: number): number {
    this.#isWanted = true;
    if (this.#isAsking) return Number.POSITIVE_INFINITY;
    if (this.#left > 0 && now < this.#validUntil) return Number.NEGATIVE_INFINITY;
    if (now < this.#askAt) return this.#askAt;
    this.#adjust(now);
    void this.#ask(now, Math.min(waiting, this.#block));
    return Number.POSITIVE_INFINITY;
  }

  take(now: number): void {
    this.#left--;
    this.#lastUsed = now;
    this.#used.push(now);
    if (this.#left === 0) this.#settings.onUsedUp(this);
  }

  isIdle(now: number): boolean {
    const hasStarts = this.#left > 0 && now < this.#validUntil;
    return !this.#isAsking && !hasStarts && this.#lastUsed + this.#settings.perMs <= now;
  }

  giveBack(): void {
    this.#isWanted = false;
    this.#left = 0;
    this.tell();
  }

  /** If starts were too old when they could be used, fewer are requested, so that they are valid for longer. */
  #adjust(now: number): void {
    if (this.#grant === undefined) return;
    const { limit } = this.#settings;
    if (this.#left > 0) {
      this.#block = 1;
      if (this.#used.length === 0) this.#validMs = Math.min(2 * this.#validMs, MAX_GRANT_MS);
    } else if (now - this.#grantedAt < this.#validMs / 4) {
      this.#block = Math.min(2 * this.#block, Math.max(1, Math.floor(limit / 4)), MAX_BLOCK);
    }
    if (this.#used.length > 0) this.#validMs = Math.max(VALID_MS, this.#validMs / 2);
  }

  async #ask(now: number, count: number): Promise<void> {
    this.#isAsking = true;
    try {
      const grant = await this.#request(count);
      this.#grantedAt = performance.now();
      // Since before it was granted, so that it ends here before it ends there.
      this.#validUntil = now + this.#validMs;
      this.#left = grant.count;
      if (grant.count > 0) this.#grant = grant;
      else this.#askAt = performance.now() + grant.waitMs;
    } catch {
      // The consumer's subscription reports the error.
      this.#askAt = performance.now() + ASK_AGAIN_MS;
    }
    this.#isAsking = false;
    if (this.#isWanted) this.#settings.onAnswer();
    else this.giveBack();
  }

  /** Reports when the starts were used, unless a request has done so. Unreported ones count as used at the end of the grant. */
  tell(): void {
    if (this.#left > 0 || this.#grant === undefined || this.#isAsking) return;
    this.#request(0).catch(() => {});
  }

  #request(count: number): Promise<StartsGrant> {
    const { limit, perMs, key, takeStarts } = this.#settings;
    const now = performance.now();
    const ended = this.#grant && { ...this.#grant, usedMsAgo: this.#used.map((at) => now - at) };
    this.#grant = undefined;
    this.#used = [];
    return takeStarts({ key, limit, perMs, count, validMs: this.#validMs, ended });
  }
}
