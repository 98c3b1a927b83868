import { createHash } from 'node:crypto';
import { serialize } from 'node:v8';
import type { Delivery, Message } from '../broker.js';
import type { QueueScan } from '../common/operator/queue-scan.js';
import { withoutHistory } from './dead-letter.js';

/** More than a scan holds, and more than a broker has delivered and not yet recorded as removed. */
const MAX_REMEMBERED = 40_000;

/** What happened to a message before it came back. */
export type Return =
  /** It was handled before an interruption. Or this is another one that is like it, and new. */
  | { readonly was: 'handled' }
  /** Its delivery was lost: this is the message, or one that is like it. */
  | LostMessage;

interface LostMessage {
  readonly was: 'lost';
  /** Its id at that time, under which it was stored elsewhere. */
  readonly id: string;
  /** Whether it had been counted as handled before. */
  readonly isCounted: boolean;
}

interface Counts {
  /** Handled since the last interruption: the broker knows, or will. */
  recent: number;
  /** Handled before an interruption: they may be back. */
  handled: number;
  /** Lost while they were being handled. */
  readonly lost: LostMessage[];
}

/**
 * Recognizes messages that a scan has handled, and that are delivered again because their connection was lost before the
 * broker knew. Messages that are alike are counted, since each of them may come back.
 */
export class ReturnedMessages {
  readonly #scan: Pick<QueueScan, 'interruptions' | 'mayReturnRemoved'>;
  readonly #counts = new Map<string, Counts>();
  #interruptions = 0;

  constructor(scan: Pick<QueueScan, 'interruptions' | 'mayReturnRemoved'>) {
    this.#scan = scan;
  }

  /** The message was removed from its queue, or is held until the end of the scan. */
  handled(key: string): void {
    this.#countsOf(key).recent++;
  }

  /** The message was stored elsewhere, but its delivery was lost before it could be removed: it is in its queue again. */
  lost(key: string, { id }: Message, isCounted: boolean): void {
    this.#countsOf(key).lost.push({ was: 'lost', id, isCounted });
  }

  /** Whether it may be a message that was handled before. Counts it as the one that came back. */
  takeBack(delivery: Delivery): Return | undefined {
    // RabbitMQ before 4.3 does not flag every message as redelivered that is.
    if (!this.#scan.mayReturnRemoved) return undefined;
    this.#notice();
    const counts = this.#counts.get(keyOf(delivery));
    if (counts === undefined) return undefined;
    // Of those that are alike, those that were not counted yet come last, as they were delivered last.
    const counted = counts.lost.findIndex(({ isCounted }) => isCounted);
    if (counted < 0 && counts.handled > 0) {
      counts.handled--;
      return { was: 'handled' };
    }
    return counts.lost.splice(Math.max(counted, 0), 1)[0];
  }

  #notice(): void {
    const { interruptions } = this.#scan;
    if (interruptions === this.#interruptions) return;
    this.#interruptions = interruptions;
    for (const counts of this.#counts.values()) {
      counts.handled += counts.recent;
      counts.recent = 0;
    }
  }

  /** The oldest are forgotten: the broker has known of them for long. */
  #countsOf(key: string): Counts {
    const counts = this.#counts.get(key) ?? { recent: 0, handled: 0, lost: [] };
    // So that it is the newest.
    this.#counts.delete(key);
    this.#counts.set(key, counts);
    if (this.#counts.size > MAX_REMEMBERED) {
      const [oldest = key] = this.#counts.keys();
      this.#counts.delete(oldest);
    }
    return counts;
  }
}

/**
 * The same for each delivery of a message, and for messages that differ in nothing but their history. An id alone
 * identifies no message: some programs give all their messages the same one, others none.
 */
export function keyOf({ message, hasGeneratedId }: Delivery): string {
  const { body, id, expiresAt: _, ...others } = withoutHistory(message);
  const properties = serialize([hasGeneratedId === true ? undefined : id, others]);
  return createHash('sha1').update(body).update(properties).digest('base64');
}
