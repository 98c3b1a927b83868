import type { PendingPublish } from './pending-publish.js';
import { SendQueue } from './send-queue.js';

const FIRST_REST_MS = 2;
const LONGEST_REST_MS = 250;

export interface LaneSettings {
  /** How many messages the target holds; undefined where that is not known. */
  readonly capacity: number | undefined;
  /** How many it holds at present, as the broker sees it. */
  readonly ready: () => Promise<number>;
  /** Called when a message may be sent that could not be sent before. */
  readonly wake: () => void;
}

/**
 * The messages to one target whose room is limited: a queue with a capacity, or one that refused a message.
 *
 *   no credit ──asked for room──► credit ──spent, one a message──► no credit
 *       ▲ │                          │
 *       │ └── there was none ──┐     └── refused in spite of it ──┐
 *       └────────────── rest ◄─┴──────────────────────────────────┘
 *
 * RabbitMQ refuses what goes over a queue's limit without a reason, tells nobody when there is room again, and a
 * quorum queue takes many more before it refuses the first. Sending and seeing would so exceed the capacity, waste
 * what is refused, and shuffle the order of the messages. Hence it is asked how many there are, and no more are
 * sent than fit; a refusal, which other publishers can bring about, makes the lane go on with a single message,
 * and with twice as many after each that is taken. The other targets of the publisher go on meanwhile.
 */
export class BoundedTarget {
  readonly waiting = new SendQueue();

  readonly #settings: LaneSettings;
  /** How many may be sent before it has to be asked for room. */
  #credit: number;
  /** How many may be unanswered at once. */
  #window = Number.POSITIVE_INFINITY;
  #unconfirmed = 0;
  #refusals = 0;
  /** Rests in a row that brought nothing. */
  #restsInVain = 0;
  #asking = false;
  #rest: NodeJS.Timeout | undefined;

  constructor(settings: LaneSettings) {
    this.#settings = settings;
    this.#credit = settings.capacity === undefined ? Number.POSITIVE_INFINITY : 0;
  }

  /** Rounds of refusals since the last message that was taken. */
  get refusals(): number {
    return this.#refusals;
  }

  /** Whether there is no more reason for a lane. One for a known capacity stays. */
  get isOver(): boolean {
    return (
      this.#settings.capacity === undefined &&
      this.waiting.isEmpty &&
      this.#unconfirmed === 0 &&
      this.#rest === undefined
    );
  }

  /** Whether the next message may be sent now. If it has to be asked for room, it is. */
  mayGoOn(): boolean {
    if (this.#rest !== undefined || this.#asking || this.#unconfirmed >= this.#window) return false;
    if (this.#credit >= 1) return true;
    void this.#ask();
    return false;
  }

  onSent(): void {
    this.#unconfirmed++;
    this.#credit = Math.max(0, this.#credit - 1);
  }

  /** The broker has answered about a message of the lane, or it could not be sent after all. */
  onAnswered(): void {
    this.#unconfirmed--;
  }

  onAccepted(): void {
    this.#refusals = 0;
    this.#restsInVain = 0;
    this.#window *= 2;
  }

  onRefused(outgoing: PendingPublish): void {
    this.waiting.add(outgoing);
    this.#window = 1;
    if (this.#settings.capacity !== undefined) this.#credit = 0;
    // What was sent together is refused together: one round.
    if (this.#rest !== undefined) return;
    this.#refusals++;
    this.#takeRest();
  }

  /** The channel is gone, and what was sent on it waits again. */
  onChannelLost(): void {
    this.#unconfirmed = 0;
    if (this.#settings.capacity !== undefined) this.#credit = 0;
  }

  stop(): void {
    clearTimeout(this.#rest);
    this.#rest = undefined;
  }

  async #ask(): Promise<void> {
    const { capacity = 1, ready, wake } = this.#settings;
    this.#asking = true;
    try {
      this.#credit = capacity - (await ready()) - this.#unconfirmed;
    } catch {
      // It can't be asked; a message can be sent and seen.
      this.#credit = 1;
    }
    this.#asking = false;
    if (this.#credit >= 1) wake();
    else this.#takeRest();
  }

  #takeRest(): void {
    const restMs = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** Math.min(this.#restsInVain++, 10));
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      this.#rest = undefined;
      this.#settings.wake();
    }, restMs);
  }
}
