import type { Channel } from 'amqplib';
import { RPC_LIMIT_MS, within } from '../../common/limits.js';

/** How many channels of a connection serve requests at once. */
export const MAX_REQUEST_CHANNELS = 4;

interface ChannelSource {
  open(): Promise<Channel>;
  /** Resolves when the broker has confirmed the end of the channel, or does not answer. */
  close(channel: Channel): Promise<void>;
}

/**
 * The channels of a connection for requests that are answered at once: a few, handed on from request to request.
 * Further requests wait for their turn, since users, virtual hosts and nodes have limits of channels. A channel that
 * nobody waits for is closed before its request resolves: what follows may need its place.
 */
export class RequestChannels {
  readonly #source: ChannelSource;
  readonly #maxChannels: number;
  /** Requests that wait, in their order. They get a channel, or the right to open one. */
  readonly #waiting: ((channel: Channel | undefined) => void)[] = [];
  #used = 0;

  constructor(source: ChannelSource, maxChannels: number) {
    this.#source = source;
    this.#maxChannels = maxChannels;
  }

  /** The outcome of `ask`. A channel that it fails on serves no other request. */
  async use<T>(ask: (channel: Channel) => Promise<T>): Promise<T> {
    let channel = await this.#turn();
    let isUsable = false;
    try {
      channel ??= await this.#source.open();
      const answer = await within(ask(channel), 'an answer of the broker', { timeoutMs: RPC_LIMIT_MS });
      isUsable = true;
      return answer;
    } finally {
      await this.#release(channel, isUsable);
    }
  }

  async #turn(): Promise<Channel | undefined> {
    if (this.#used >= this.#maxChannels) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#used++;
    return undefined;
  }

  async #release(channel: Channel | undefined, isUsable: boolean): Promise<void> {
    if (channel !== undefined && isUsable && this.#waiting.length > 0) {
      this.#waiting.shift()?.(channel);
      return;
    }
    if (channel !== undefined) await this.#source.close(channel);
    const next = this.#waiting.shift();
    if (next !== undefined) next(undefined);
    else this.#used--;
  }
}
