import type { Channel } from 'amqplib';
import { pause, settledWithin } from '../../common/waiting/waiting.js';

/** How long the broker may take to process settlements before the channel is closed anyway. */
const SETTLE_LIMIT_MS = 1_000;

/** How long deliveries may be in transit when nothing is acknowledged any more. */
const QUIET_LIMIT_MS = 500;

const POLL_MS = 5;

interface ConsumerCount {
  readonly consumerCount: number;
}

/** The queue of an ending consumer. Its counts show deliveries and settlements that the protocol does not confirm. */
export class ConsumedQueue {
  readonly #channel: Channel;
  readonly #queue: string;
  /** How many consumers there were when they were last counted, including this one. */
  #consumersBefore: number | undefined;
  #isGone = false;

  constructor(channel: Channel, queue: string) {
    this.#channel = channel;
    this.#queue = queue;
  }

  /** Called when the channel is closed and can't be queried any more. */
  stop(): void {
    this.#isGone = true;
  }

  /**
   * Resolves when no delivery can be in flight, although nothing is acknowledged: the queue is empty, or the broker may
   * send no more, which `isFull` determines: as many have arrived as the prefetch allows, or none, since a consumer
   * without a delivery is not being served. Rejects if the broker can't be queried.
   */
  async untilQuiet(isFull: () => boolean): Promise<void> {
    const until = performance.now() + QUIET_LIMIT_MS;
    while (!this.#isGone) {
      const { messageCount, consumerCount } = await this.#channel.checkQueue(this.#queue);
      this.#consumersBefore = consumerCount;
      if (messageCount === 0 || isFull()) return;
      if (performance.now() >= until) return;
      await pause(POLL_MS, undefined, { keepAlive: true });
    }
  }

  /**
   * Counts the consumers again, while this one still has unsettled messages: the count includes those that came since its
   * cancellation, which would hide that it is gone. Always resolves, in time.
   */
  async recount(): Promise<void> {
    const counted = async () => {
      if (this.#isGone) return;
      const { consumerCount } = await this.#channel.checkQueue(this.#queue);
      // A classic queue does not count this one any more.
      this.#consumersBefore = Math.max(consumerCount, this.#consumersBefore ?? 0);
    };
    await settledWithin(counted(), SETTLE_LIMIT_MS);
  }

  /**
   * Waits until the broker has processed the settlements of a cancelled consumer. A quorum queue stores settlements a moment
   * after they arrive, and undoes those that are not stored when the channel closes: acknowledged messages are redelivered,
   * returned ones count as failed. Settlements are not confirmed, but the queue counts a cancelled consumer until all its
   * messages are settled. Always resolves, in time.
   */
  async untilSettled(): Promise<void> {
    await this.#untilFewer(
      () => this.#channel.checkQueue(this.#queue),
      () => this.#isGone,
    );
  }

  /**
   * Waits until the queue no longer counts a consumer that has ended with its channel, so that nobody takes it for one
   * that is still there. `check` asks on another channel. Always resolves, in time.
   */
  async untilForgotten(check: (queue: string) => Promise<ConsumerCount>): Promise<void> {
    await this.#untilFewer(
      () => check(this.#queue),
      () => false,
    );
  }

  async #untilFewer(check: () => Promise<ConsumerCount>, isGone: () => boolean): Promise<void> {
    const before = this.#consumersBefore;
    if (before === undefined) return;
    const until = performance.now() + SETTLE_LIMIT_MS;
    const fewerConsumers = async () => {
      while (!isGone() && performance.now() < until) {
        const { consumerCount } = await check();
        if (consumerCount < before) return;
        await pause(POLL_MS, undefined, { keepAlive: true });
      }
    };
    await settledWithin(fewerConsumers(), SETTLE_LIMIT_MS);
  }
}
