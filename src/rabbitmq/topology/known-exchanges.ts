import type { WaitOptions } from '../../broker.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { onOwnChannel, request } from '../connection/request.js';

/**
 * Exchanges that are known to exist. If one is missing, a publish to it makes the broker close the whole channel, and
 * everything else in flight has to be sent again. So the first publish to an exchange checks that it exists.
 */
export class KnownExchanges {
  readonly #link: ReconnectingConnection;
  readonly #known = new Set<string>();
  /** Checks in progress, so that a burst of first messages shares one. */
  readonly #asked = new Map<string, Promise<unknown>>();

  constructor(link: ReconnectingConnection) {
    this.#link = link;
  }

  has(exchange: string): boolean {
    return this.#known.has(exchange);
  }

  /** Checks that an exchange exists. Rejects with `UNROUTABLE` if it does not. */
  async find(exchange: string, what: string, wait: WaitOptions): Promise<void> {
    try {
      await this.#link.within(this.#ask(exchange), what, wait);
    } catch (error) {
      if (!isQueueError(error, 'QUEUE_MISSING')) throw error;
      throw new QueueError('UNROUTABLE', `${what}: there is no exchange '${exchange}'`, {
        cause: error.cause,
      });
    }
    this.#known.add(exchange);
  }

  /** Called when the exchange turned out not to exist. */
  invalidate(exchange: string): void {
    this.#known.delete(exchange);
  }

  #ask(exchange: string): Promise<unknown> {
    let asked = this.#asked.get(exchange);
    if (asked === undefined) {
      const subject = { what: `finding the exchange '${exchange}'`, name: exchange };
      asked = request(this.#link, subject, {}, (connection) =>
        onOwnChannel(connection, (channel) => channel.checkExchange(exchange)),
      ).finally(() => this.#asked.delete(exchange));
      this.#asked.set(exchange, asked);
    }
    return asked;
  }
}
