import type { Message } from 'amqplib';
import type { WireMessage } from '../wire/amqp-message.js';
import type { PendingPublish } from './pending-publish.js';

/**
 * Bounds the memory of unconfirmed messages, which are kept to be sent again, however few they are. Text counts by its
 * length.
 */
const MAX_UNCONFIRMED_BYTES = 64 * 1024 * 1024;

/** How many settled entries accumulate at the front before they are removed. */
const COMPACT_AT = 1024;

/**
 * The messages of one channel that the broker has not answered yet, in the order of their delivery tags, which the
 * broker counts from 1. It mostly answers in that order, too.
 */
export class ConfirmWindow {
  /** Undefined: answered. */
  #sent: (PendingPublish | undefined)[] = [];
  /** The delivery tag of the first entry. */
  #firstTag = 1;
  /** All entries before this index are answered. */
  #answered = 0;
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  hasRoomFor(pending: PendingPublish, maxMessages: number): boolean {
    if (this.#size === 0) return true;
    return this.#size < maxMessages && this.#bytes + pending.wire.content.length <= MAX_UNCONFIRMED_BYTES;
  }

  add(pending: PendingPublish): void {
    this.#sent.push(pending);
    this.#size++;
    this.#bytes += pending.wire.content.length;
    pending.unconfirmed = true;
  }

  /** Records that the broker returned a message, and why. Its confirm follows. */
  markReturned({ properties, fields }: Message): void {
    const pending = this.findReturned(properties.messageId, fields);
    // amqplib's types lack the fields with the reason.
    const { replyText = 'returned' } = fields as { replyText?: string };
    if (pending !== undefined) pending.returned = replyText;
  }

  /**
   * The message that the broker returns. A return carries no delivery tag; of several messages with the same id and
   * target it is the first that was not returned yet, since they are returned in the order of sending.
   */
  findReturned(
    id: unknown,
    { exchange, routingKey }: Pick<WireMessage, 'exchange' | 'routingKey'>,
  ): PendingPublish | undefined {
    return this.#sent.find(
      (pending) =>
        pending !== undefined &&
        pending.wire.id === id &&
        pending.returned === undefined &&
        pending.wire.exchange === exchange &&
        pending.wire.routingKey === routingKey,
    );
  }

  /**
   * Removes the messages that an answer of the broker is about, in the order of sending. Tag 0 with `multiple` means
   * all of them; a tag that was never sent means no more than those that were.
   */
  answer(tag: number, multiple: boolean, take: (pending: PendingPublish) => void): void {
    const end = this.#sent.length - 1;
    const index = multiple && tag === 0 ? end : tag - this.#firstTag;
    const last = multiple ? Math.min(index, end) : index;
    for (let each = multiple ? this.#answered : last; each <= last; each++) {
      const pending = this.#sent[each];
      if (pending === undefined) continue;
      this.#sent[each] = undefined;
      this.#remove(pending);
      take(pending);
    }
    this.#compact();
  }

  *all(): Iterable<PendingPublish> {
    for (const pending of this.#sent) if (pending !== undefined) yield pending;
  }

  /** The channel is gone: removes and returns all of them. */
  clear(): PendingPublish[] {
    const all = [...this.all()];
    for (const pending of all) this.#remove(pending);
    this.#sent = [];
    this.#answered = 0;
    this.#firstTag = 1;
    return all;
  }

  #remove(pending: PendingPublish): void {
    this.#size--;
    this.#bytes -= pending.wire.content.length;
    pending.unconfirmed = false;
  }

  #compact(): void {
    while (this.#answered < this.#sent.length && this.#sent[this.#answered] === undefined) this.#answered++;
    if (this.#answered < COMPACT_AT && this.#answered < this.#sent.length) return;
    this.#sent.splice(0, this.#answered);
    this.#firstTag += this.#answered;
    this.#answered = 0;
  }
}
