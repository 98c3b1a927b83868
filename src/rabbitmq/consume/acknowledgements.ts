import type { Message } from 'amqplib';

type Acknowledge = (message: Message, allUpTo: boolean) => void;

/** How long an acknowledgement waits for more of its kind. */
const REST_MS = 1;

/** What part of the prefetch window may wait for being acknowledged: the rest keeps the broker sending. */
const PART_OF_PREFETCH = 4;

/**
 * Collects acknowledgements and sends them together: by themselves, they would cost both sides more than the messages.
 * Those of a turn of the event loop go out at its end when they are enough to hold up the prefetch window, and after
 * a millisecond otherwise.
 *
 * `multiple` acknowledges everything up to a delivery tag; so it is used up to below the first delivery that is
 * still open, and those beyond are sent singly: kept back, they would hold up the prefetch window.
 *
 *   none ──add──► resting ──enough, or a millisecond later──► none
 */
export class Acknowledgements {
  readonly #acknowledge: Acknowledge;
  /** The lowest delivery tag that is still open; undefined where none is. */
  readonly #lowestOpen: () => number | undefined;
  /** When so many are finished, they are sent at the end of the turn. */
  readonly #enough: number;
  #finished: Message[] = [];
  #timer: NodeJS.Timeout | undefined;
  #endOfTurn: NodeJS.Immediate | undefined;

  constructor(acknowledge: Acknowledge, lowestOpen: () => number | undefined, prefetch: number) {
    this.#acknowledge = acknowledge;
    this.#lowestOpen = lowestOpen;
    this.#enough = Math.max(1, Math.floor(prefetch / PART_OF_PREFETCH));
  }

  add(message: Message): void {
    this.#finished.push(message);
    if (this.#finished.length >= this.#enough) this.#endOfTurn ??= setImmediate(() => this.flush());
    else this.#timer ??= setTimeout(() => this.flush(), REST_MS);
  }

  /** Sends now what was to be sent later. */
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
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#endOfTurn !== undefined) clearImmediate(this.#endOfTurn);
    this.#endOfTurn = undefined;
  }
}
