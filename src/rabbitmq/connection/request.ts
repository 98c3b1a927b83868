import type { Channel } from 'amqplib';
import type { WaitOptions } from '../../broker.js';
import { RPC_LIMIT_MS, within } from '../../common/limits.js';
import { isInterrupted, queueError } from './broker-errors.js';
import { type Connection, closeChannel } from './connection.js';
import type { ReconnectingConnection } from './reconnecting-connection.js';

/** What a request is for, as its errors say it, and the queue or exchange that it is about. */
export interface Subject {
  readonly what: string;
  readonly name: string;
}

/**
 * Makes a request on the link, as soon as it is connected. When the connection is lost meanwhile, it is made again
 * on the next one: requests are such that doing one twice does no harm.
 */
export function request<T>(
  link: ReconnectingConnection,
  { what, name }: Subject,
  wait: WaitOptions,
  make: (connection: Connection) => Promise<T>,
): Promise<T> {
  const attempts = async () => {
    while (true) {
      const connection = await link.connected(what, wait);
      try {
        return await make(connection);
      } catch (error) {
        if (!isInterrupted(error) || connection.isOpen) throw queueError(error, what, name);
        await connection.closed;
      }
    }
  };
  return within(attempts(), what, wait);
}

/** Asks the broker on a channel of its own: a refusal closes the channel that it comes on. */
export async function onOwnChannel<T>(
  connection: Connection,
  ask: (channel: Channel) => Promise<T>,
): Promise<T> {
  const channel = await connection.openChannel();
  try {
    return await within(ask(channel), 'an answer of the broker', { timeoutMs: RPC_LIMIT_MS });
  } finally {
    void closeChannel(channel);
  }
}
