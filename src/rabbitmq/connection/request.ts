import type { Channel } from 'amqplib';
import type { WaitOptions } from '../../broker.js';
import { pause } from '../../common/limits.js';
import { QueueError } from '../../errors.js';
import { causedByRequest, isInterrupted, queueError, replyCode, replyText } from './broker-errors.js';
import type { Connection } from './connection.js';
import type { ReconnectingConnection } from './reconnecting-connection.js';

/** A request that is under way at so many errors that closed the connection is not repeated. */
const MAX_CONNECTION_ERRORS = 2;

/** Before it is repeated: consumers that were there before it, and had their channels, subscribe again. */
const OTHERS_FIRST_MS = 1_000;

/** What a request is for, as its errors say it, and the queue or exchange that it is about. */
export interface Subject {
  readonly what: string;
  readonly name: string;
}

/**
 * Makes a request on the link, as soon as it is connected. When the connection is lost meanwhile, it is repeated on the
 * next one: all requests are such that doing one twice does no harm.
 */
export function request<T>(
  link: ReconnectingConnection,
  { what, name }: Subject,
  wait: WaitOptions,
  make: (connection: Connection) => Promise<T>,
  maxConnectionErrors?: number,
): Promise<T> {
  const made = onConnection(link, what, wait, make, maxConnectionErrors).catch((error) => {
    throw queueError(error, what, name);
  });
  return link.within(made, what, wait);
}

/**
 * As `request`, with the broker's own error. Where the broker closed the connection because of something asked on it,
 * this may have been the cause: after the second time it rejects with `BROKER_ERROR`, so that the others can go on.
 */
export async function onConnection<T>(
  link: ReconnectingConnection,
  what: string,
  wait: WaitOptions,
  make: (connection: Connection) => Promise<T>,
  maxConnectionErrors = MAX_CONNECTION_ERRORS,
): Promise<T> {
  for (let errors = 0; ; ) {
    const connection = await link.connected(what, wait);
    try {
      return await make(connection);
    } catch (error) {
      if (!isInterrupted(error) || connection.isOpen) throw error;
      const reason = await connection.closed;
      if (!causedByRequest(reason)) continue;
      if (++errors < maxConnectionErrors) {
        await pause(OTHERS_FIRST_MS, wait.signal);
        continue;
      }
      throw new QueueError(
        'BROKER_ERROR',
        `${what}: the broker closed the connection ${errors} times meanwhile (${replyCode(reason)}): ${replyText(reason)}`,
        { cause: reason },
      );
    }
  }
}

/** Asks the broker on a channel that nothing else uses meanwhile: a refusal closes the channel that it comes on. */
export function onOwnChannel<T>(connection: Connection, ask: (channel: Channel) => Promise<T>): Promise<T> {
  return connection.requestChannels.use(ask);
}
