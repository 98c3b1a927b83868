import type { Destination } from '../broker.js';
import type { Linked, LinkedList } from '../common/linked-list.js';

/** A message that waits for room in several queues. */
export interface FanOutEntry {
  readonly to: Destination;
  /** Grows with each one: the order of arrival. */
  readonly number: number;
}

/**
 * Messages that wait for room in several queues, a line for each destination: if the first of a line has to wait, so
 * have those behind it. Otherwise each message that leaves a queue would cost a look at all that wait.
 */
export class FanOutLines<Item extends Linked<Item>, Line extends LinkedList<Item>> {
  readonly #newLine: () => Line;
  readonly #payloadOf: (item: Item) => FanOutEntry;
  readonly #lines = new Map<string, { readonly to: Destination; readonly line: Line }>();

  constructor(newLine: () => Line, payloadOf: (item: Item) => FanOutEntry) {
    this.#newLine = newLine;
    this.#payloadOf = payloadOf;
  }

  get isEmpty(): boolean {
    return this.#lines.size === 0 || this.#open.length === 0;
  }

  /** Where messages that wait go. */
  get destinations(): Destination[] {
    return this.#open.map(({ to }) => to);
  }

  /** The line of the messages to this destination. Members leave it on their own. */
  lineTo({ exchange, routingKey }: Destination): Line {
    const key = `${exchange.length} ${exchange}${routingKey}`;
    let found = this.#lines.get(key);
    if (found === undefined) {
      found = { to: { exchange, routingKey }, line: this.#newLine() };
      this.#lines.set(key, found);
    }
    return found.line;
  }

  /** Whether all messages that are the first of their line pass. */
  everyFirst(test: (item: Item) => boolean): boolean {
    return this.#open.every(({ line }) => line.first === undefined || test(line.first));
  }

  /**
   * Passes the messages to `take` in the order of arrival, but none behind one of its line that was not taken. `take`
   * returns whether the message has left its line.
   */
  serve(take: (item: Item) => boolean): void {
    const heads = this.#open.map(({ line }) => line).sort((a, b) => this.#numberOf(a) - this.#numberOf(b));
    for (let at = 0; at < heads.length; ) {
      const line = heads[at] as Line;
      if (line.first === undefined || !take(line.first)) {
        at++;
        continue;
      }
      // The next of this line may have come after the first of others.
      const number = this.#numberOf(line);
      let place = at;
      for (; place + 1 < heads.length; place++) {
        const other = heads[place + 1] as Line;
        if (this.#numberOf(other) > number) break;
        heads[place] = other;
      }
      heads[place] = line;
    }
  }

  #numberOf({ first }: Line): number {
    return first === undefined ? Number.NEGATIVE_INFINITY : this.#payloadOf(first).number;
  }

  /** Forgets the lines in which no message waits any more. */
  forgetEmpty(): void {
    for (const [key, { line }] of this.#lines) if (line.isEmpty) this.#lines.delete(key);
  }

  /** The lines in which messages wait. Forgets the others. */
  get #open(): { readonly to: Destination; readonly line: Line }[] {
    this.forgetEmpty();
    return [...this.#lines.values()];
  }
}
