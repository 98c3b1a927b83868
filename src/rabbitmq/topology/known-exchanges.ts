import type { WaitOptions } from '../../broker.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { onOwnChannel, request } from '../connection/request.js';

/**
 * Exchanges that are known to be there. A publish to one that is not makes the broker close the whole channel, and
 * everything else that is on its way there has to be sent a second time: so it is asked before the first one.
 */
export class KnownExchanges {
  readonly #link: ReconnectingConnection;
  readonly #known = new Set(['']);

  constructor(link: ReconnectingConnection) {
    this.#link = link;
  }

  has(exchange: string): boolean {
    return this.#known.has(exchange);
  }

  /** Rejects with `UNROUTABLE` where there is no such exchange. */
  async find(exchange: string, what: string, wait: WaitOptions): Promise<void> {
    try {
      await request(this.#link, { what, name: exchange }, wait, (connection) =>
        onOwnChannel(connection, (channel) => channel.checkExchange(exchange)),
      );
    } catch (error) {
      if (!isQueueError(error, 'QUEUE_MISSING')) throw error;
      throw new QueueError('UNROUTABLE', `${what}: there is no exchange '${exchange}'`, {
        cause: error.cause,
      });
    }
    this.#known.add(exchange);
  }

  /** It turned out not to be there. */
  doubt(exchange: string): void {
    if (exchange !== '') this.#known.delete(exchange);
  }
}
