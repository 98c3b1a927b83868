import type { WireMessage } from '../wire/amqp-message.js';
import type { PendingPublish } from './pending-publish.js';

/**
 * What may be on its way at once however few messages that are, since each is kept until it is confirmed. Text counts
 * by its length.
 */
const MAX_UNCONFIRMED_BYTES = 64 * 1024 * 1024;

/** Answered places at the front of the line are cut off when there are so many. */
const CUT_AT = 1024;

/**
 * The messages of one channel that the broker has not answered yet, in the order of their delivery tags, which the
 * broker counts from 1. Mostly it answers in that order, too.
 */
export class ConfirmWindow {
  /** Undefined: answered. */
  #sent: (PendingPublish | undefined)[] = [];
  /** The tag of the first place. */
  #firstTag = 1;
  /** All places before this one are answered. */
  #answered = 0;
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  hasRoomFor(outgoing: PendingPublish, maxMessages: number): boolean {
    if (this.#size === 0) return true;
    return this.#size < maxMessages && this.#bytes + outgoing.wire.content.length <= MAX_UNCONFIRMED_BYTES;
  }

  add(outgoing: PendingPublish): void {
    this.#sent.push(outgoing);
    this.#size++;
    this.#bytes += outgoing.wire.content.length;
    outgoing.unconfirmed = true;
  }

  /**
   * The message that the broker sends back. It comes without its delivery tag; of several with the same id and target
   * it is taken for the first that has not come back, since they come back in the order in which they were sent.
   */
  findReturned(
    id: unknown,
    { exchange, routingKey }: Pick<WireMessage, 'exchange' | 'routingKey'>,
  ): PendingPublish | undefined {
    return this.#sent.find(
      (outgoing) =>
        outgoing !== undefined &&
        outgoing.wire.id === id &&
        outgoing.returned === undefined &&
        outgoing.wire.exchange === exchange &&
        outgoing.wire.routingKey === routingKey,
    );
  }

  /** Takes out those that an answer of the broker is about, in the order in which they were sent. */
  answer(tag: number, multiple: boolean, take: (outgoing: PendingPublish) => void): void {
    const last = tag - this.#firstTag;
    for (let place = multiple ? this.#answered : last; place <= last; place++) {
      const outgoing = this.#sent[place];
      if (outgoing === undefined) continue;
      this.#sent[place] = undefined;
      this.#remove(outgoing);
      take(outgoing);
    }
    this.#cut();
  }

  *all(): Iterable<PendingPublish> {
    for (const outgoing of this.#sent) if (outgoing !== undefined) yield outgoing;
  }

  /** The channel is gone: takes all of them out. */
  clear(): PendingPublish[] {
    const all = [...this.all()];
    for (const outgoing of all) this.#remove(outgoing);
    this.#sent = [];
    this.#answered = 0;
    this.#firstTag = 1;
    return all;
  }

  #remove(outgoing: PendingPublish): void {
    this.#size--;
    this.#bytes -= outgoing.wire.content.length;
    outgoing.unconfirmed = false;
  }

  #cut(): void {
    while (this.#answered < this.#sent.length && this.#sent[this.#answered] === undefined) this.#answered++;
    if (this.#answered < CUT_AT && this.#answered < this.#sent.length) return;
    this.#sent.splice(0, this.#answered);
    this.#firstTag += this.#answered;
    this.#answered = 0;
  }
}
