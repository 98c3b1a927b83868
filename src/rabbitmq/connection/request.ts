import type { Channel } from 'amqplib';
import type { WaitOptions } from '../../broker.js';
import { pause, RPC_LIMIT_MS, settledWithin } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import { causedByRequest, isInterrupted, queueError, replyCode, replyText } from './broker-errors.js';
import type { Connection } from './connection.js';
import type { ReconnectingConnection } from './reconnecting-connection.js';

/** After this many connection errors during a request, it is not repeated. */
const MAX_CONNECTION_ERRORS = 2;

/** How long a repeated request waits, so that earlier consumers get their channels back first. */
const OTHERS_FIRST_MS = 1_000;

/** A description of a request, for its errors, and the queue or exchange that it concerns. */
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

/** For each link, resolves when the last of the suspected requests is over. */
const suspects = new WeakMap<ReconnectingConnection, Promise<unknown>>();

/** The outcome of `work`, which starts when the suspected requests before it are over, or have taken long. */
function singly<T>(link: ReconnectingConnection, work: () => Promise<T>): Promise<T> {
  const outcome = (suspects.get(link) ?? Promise.resolve()).then(work);
  suspects.set(link, settledWithin(outcome, RPC_LIMIT_MS));
  return outcome;
}

/**
 * Like `request`, but rejects with the broker's own error. If the broker closed the connection because of a request,
 * this one may be the cause. So suspected requests are repeated one by one, and the one at which the connection is
 * closed once more rejects with `BROKER_ERROR`. The others continue.
 */
export async function onConnection<T>(
  link: ReconnectingConnection,
  what: string,
  wait: WaitOptions,
  make: (connection: Connection) => Promise<T>,
  maxConnectionErrors = MAX_CONNECTION_ERRORS,
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
  const attemptAfterOthers = async () => {
    await link.connected(what, wait);
    await pause(link.connectedForMs < OTHERS_FIRST_MS ? OTHERS_FIRST_MS : 0, wait.signal);
    return attempt();
  };
  for (let errors = 0; ; ) {
    const outcome = await (errors === 0 ? attempt() : singly(link, attemptAfterOthers));
    if ('value' in outcome) return outcome.value;
    const { lost } = outcome;
    if (!causedByRequest(lost) || ++errors < maxConnectionErrors) continue;
    throw new QueueError(
      'BROKER_ERROR',
      `${what}: the broker closed the connection ${errors} times meanwhile (${replyCode(lost)}): ${replyText(lost)}`,
      { cause: lost },
    );
  }
}

/** Makes a request on a channel that nothing else uses at the same time, since a refusal closes the channel. */
export function onOwnChannel<T>(connection: Connection, ask: (channel: Channel) => Promise<T>): Promise<T> {
  return connection.requestChannels.use(ask);
}
