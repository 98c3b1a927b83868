import type { Channel } from 'amqplib';
import { RPC_LIMIT_MS, within } from '../../common/waiting/waiting.js';

/** How many channels of a connection may serve requests at once. */
export const MAX_REQUEST_CHANNELS = 4;

interface ChannelSource {
  open(): Promise<Channel>;
  /** Resolves when the broker has confirmed that the channel is closed, or after a time limit. */
  close(channel: Channel): Promise<void>;
}

/**
 * A small pool of channels for requests that the broker answers at once. Requests queue for a channel, because users,
 * virtual hosts and nodes have channel limits. If no other request waits for it, a channel is closed before its request
 * resolves, so that its place is free for the next request.
 */
export class RequestChannels {
  readonly #source: ChannelSource;
  readonly #maxChannels: number;
  /** Waiting requests, in order. Each is given a channel, or undefined: it may open one. */
  readonly #waiting: ((channel: Channel | undefined) => void)[] = [];
  #used = 0;

  constructor(source: ChannelSource, maxChannels: number) {
    this.#source = source;
    this.#maxChannels = maxChannels;
  }

  /** Runs `ask` on a channel. If it fails, that channel serves no other request. */
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
