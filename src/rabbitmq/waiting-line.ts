import type { Outgoing } from './outgoing.js';

/** Messages that wait to be sent, in the order of their positions. Leaving from anywhere takes constant time. */
export class WaitingLine {
  #first: Outgoing | undefined = undefined;
  #last: Outgoing | undefined = undefined;
  readonly #members = new Set<Outgoing>();

  get first(): Outgoing | undefined {
    return this.#first;
  }

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  /** Goes to its place by position: at the end for new ones, before those for one that was sent in vain. */
  add(outgoing: Outgoing): void {
    let after = this.#last;
    while (after !== undefined && after.position > outgoing.position) after = after.previous;
    this.#insert(outgoing, after);
  }

  /** Puts many, sorted by position, to their places in one walk. */
  addAll(sorted: Iterable<Outgoing>): void {
    let after: Outgoing | undefined;
    for (const outgoing of sorted) {
      let next = after === undefined ? this.#first : after.next;
      while (next !== undefined && next.position < outgoing.position) {
        after = next;
        next = next.next;
      }
      this.#insert(outgoing, after);
      after = outgoing;
    }
  }

  /** False where it does not wait here. */
  remove(outgoing: Outgoing): boolean {
    if (!this.#members.delete(outgoing)) return false;
    const { previous, next } = outgoing;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    outgoing.previous = undefined;
    outgoing.next = undefined;
    return true;
  }

  /** All who wait, as they are at this moment, in order. */
  snapshot(): Outgoing[] {
    const all: Outgoing[] = [];
    for (let outgoing = this.#first; outgoing !== undefined; outgoing = outgoing.next) all.push(outgoing);
    return all;
  }

  #insert(outgoing: Outgoing, after: Outgoing | undefined): void {
    const next = after === undefined ? this.#first : after.next;
    outgoing.previous = after;
    outgoing.next = next;
    if (after === undefined) this.#first = outgoing;
    else after.next = outgoing;
    if (next === undefined) this.#last = outgoing;
    else next.previous = outgoing;
    this.#members.add(outgoing);
  }
}
