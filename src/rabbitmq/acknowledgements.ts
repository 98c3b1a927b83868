import type { Message } from 'amqplib';

type Acknowledge = (message: Message, allUpTo: boolean) => void;

/**
 * Collects the acknowledgements of a turn of the event loop and sends them together, which halves what they cost.
 * `multiple` acknowledges everything up to a delivery tag; so it is used up to below the first delivery that is
 * still open, and those beyond are sent singly: kept back, they would hold up the prefetch window.
 */
export class Acknowledgements {
  readonly #acknowledge: Acknowledge;
  /** The lowest delivery tag that is still open; undefined where none is. */
  readonly #lowestOpen: () => number | undefined;
  #finished: Message[] = [];
  #scheduled: NodeJS.Immediate | undefined;

  constructor(acknowledge: Acknowledge, lowestOpen: () => number | undefined) {
    this.#acknowledge = acknowledge;
    this.#lowestOpen = lowestOpen;
  }

  add(message: Message): void {
    this.#finished.push(message);
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  /** Sends now what was to be sent at the end of the turn. */
  flush(): void {
    this.drop();
    const finished = this.#finished;
    this.#finished = [];
    const lowestOpen = this.#lowestOpen() ?? Number.POSITIVE_INFINITY;
    let last: Message | undefined;
    let count = 0;
    for (const message of finished) {
      const tag = message.fields.deliveryTag;
      if (tag > lowestOpen) {
        this.#acknowledge(message, false);
      } else {
        count++;
        if (last === undefined || tag > last.fields.deliveryTag) last = message;
      }
    }
    if (last !== undefined) this.#acknowledge(last, count > 1);
  }

  /** The channel is gone. */
  drop(): void {
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
  }
}
