import type { Outgoing } from './outgoing.js';

/** What may be on its way at once however few messages that are, since each is kept until it is confirmed. */
const MAX_UNCONFIRMED_BYTES = 64 * 1024 * 1024;

/** The messages of one channel that the broker has not answered yet, by delivery tag. */
export class PublishWindow {
  readonly #byTag = new Map<number, Outgoing>();
  readonly #byId = new Map<string, Outgoing>();
  #bytes = 0;
  #lastTag = 0;

  get size(): number {
    return this.#byTag.size;
  }

  /**
   * Whether one more fits. A message whose id is on its way already waits for that one's answer: a returned
   * message comes back without its delivery tag, so its id has to tell which one it is.
   */
  hasRoomFor(outgoing: Outgoing, maxMessages: number): boolean {
    if (this.#byTag.size === 0) return true;
    return (
      this.#byTag.size < maxMessages &&
      this.#bytes + outgoing.wire.content.length <= MAX_UNCONFIRMED_BYTES &&
      !this.#byId.has(outgoing.wire.id)
    );
  }

  /** The broker counts the messages of a channel from 1. */
  add(outgoing: Outgoing): void {
    this.#lastTag++;
    this.#byTag.set(this.#lastTag, outgoing);
    this.#byId.set(outgoing.wire.id, outgoing);
    this.#bytes += outgoing.wire.content.length;
    outgoing.unconfirmed = true;
  }

  find(id: unknown): Outgoing | undefined {
    return typeof id === 'string' ? this.#byId.get(id) : undefined;
  }

  /** Takes out those that an answer of the broker is about, in the order in which they were sent. */
  answer(tag: number, multiple: boolean, take: (outgoing: Outgoing) => void): void {
    if (!multiple) {
      const outgoing = this.#byTag.get(tag);
      if (outgoing === undefined) return;
      this.#remove(tag, outgoing);
      take(outgoing);
      return;
    }
    for (const [each, outgoing] of this.#byTag) {
      if (each > tag) return;
      this.#remove(each, outgoing);
      take(outgoing);
    }
  }

  all(): Iterable<Outgoing> {
    return this.#byTag.values();
  }

  /** The channel is gone: takes all of them out. */
  clear(): Outgoing[] {
    const all = [...this.#byTag.values()];
    for (const outgoing of all) outgoing.unconfirmed = false;
    this.#byTag.clear();
    this.#byId.clear();
    this.#bytes = 0;
    this.#lastTag = 0;
    return all;
  }

  #remove(tag: number, outgoing: Outgoing): void {
    this.#byTag.delete(tag);
    this.#byId.delete(outgoing.wire.id);
    this.#bytes -= outgoing.wire.content.length;
    outgoing.unconfirmed = false;
  }
}
