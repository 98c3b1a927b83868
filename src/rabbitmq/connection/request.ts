import type { Channel } from 'amqplib';
import type { WaitOptions } from '../../broker.js';
import { QueueError } from '../../errors.js';
import { causedByRequest, isInterrupted, queueError, replyCode, replyText } from './broker-errors.js';
import type { Connection } from './connection.js';
import type { ReconnectingConnection } from './reconnecting-connection.js';

/** A request that is under way at so many errors that closed the connection is not repeated. From the second on it is alone. */
const MAX_CONNECTION_ERRORS = 2;

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
): Promise<T> {
  const made = onConnection(link, what, wait, make).catch((error) => {
    throw queueError(error, what, name);
  });
  return link.within(made, what, wait);
}

/** For each link, resolves when the last of the suspected requests is over. */
const suspects = new WeakMap<ReconnectingConnection, Promise<unknown>>();

/** The outcome of `work`, which starts when no other suspected request is under way on this link. */
function singly<T>(link: ReconnectingConnection, work: () => Promise<T>): Promise<T> {
  const outcome = (suspects.get(link) ?? Promise.resolve()).then(work);
  suspects.set(
    link,
    outcome.catch(() => {}),
  );
  return outcome;
}

/**
 * As `request`, with the broker's own error. Where the broker closed the connection because of something asked on it,
 * this may have been the cause. The suspects are repeated one by one, so that none is blamed for another's: the one that
 * the connection is closed at again rejects with `BROKER_ERROR`, and the others go on.
 */
export async function onConnection<T>(
  link: ReconnectingConnection,
  what: string,
  wait: WaitOptions,
  make: (connection: Connection) => Promise<T>,
): Promise<T> {
  const attempt = async (): Promise<{ readonly value: T } | { readonly lost: Error }> => {
    const connection = await link.connected(what, wait);
    try {
      return { value: await make(connection) };
    } catch (error) {
      if (!isInterrupted(error) || connection.isOpen) throw error;
      return { lost: await connection.closed };
    }
  };
  for (let errors = 0; ; ) {
    const outcome = await (errors === 0 ? attempt() : singly(link, attempt));
    if ('value' in outcome) return outcome.value;
    const { lost } = outcome;
    if (!causedByRequest(lost) || ++errors < MAX_CONNECTION_ERRORS) continue;
    throw new QueueError(
      'BROKER_ERROR',
      `${what}: the broker closed the connection ${errors} times meanwhile (${replyCode(lost)}): ${replyText(lost)}`,
      { cause: lost },
    );
  }
}

/** Asks the broker on a channel that nothing else uses meanwhile: a refusal closes the channel that it comes on. */
export function onOwnChannel<T>(connection: Connection, ask: (channel: Channel) => Promise<T>): Promise<T> {
  return connection.requestChannels.use(ask);
}
