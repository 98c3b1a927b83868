import type { Channel } from 'amqplib';
import type { WaitOptions } from '../../broker.js';
import { pause } from '../../common/limits.js';
import { QueueError } from '../../errors.js';
import { causedByRequest, isInterrupted, queueError, replyCode, replyText } from './broker-errors.js';
import type { Connection } from './connection.js';
import type { ReconnectingConnection } from './reconnecting-connection.js';

/** After so many connection errors during a request, it is not repeated. */
const MAX_CONNECTION_ERRORS = 2;

/** How long a repeated request waits, so that earlier consumers get their channels back first. */
const OTHERS_FIRST_MS = 1_000;

/** What a request does, for its errors, and the queue or exchange that it concerns. */
export interface Subject {
  readonly what: string;
  readonly name: string;
}

/**
 * Makes a request as soon as there is a connection. If the connection is lost before the answer, the request is
 * repeated on the next one: all requests are idempotent.
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
 * Like `request`, but rejects with the broker's own error. If the broker closed the connection because of a request,
 * this one may be the cause: after the second time it rejects with `BROKER_ERROR`, so that the others can continue.
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

/** Makes a request on a channel that nothing else uses at the same time, since a refusal closes the channel. */
export function onOwnChannel<T>(connection: Connection, ask: (channel: Channel) => Promise<T>): Promise<T> {
  return connection.requestChannels.use(ask);
}
