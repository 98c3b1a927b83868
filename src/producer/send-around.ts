import type { Message, PublishOptions } from '../broker.js';
import type { Around, SendContext } from '../common/hooks/around.js';
import { type SendTrace, sendTracing } from '../common/hooks/tracing.js';
import { RESERVED_HEADER_PREFIX } from '../common/message/retry-headers.js';
import { quote } from '../common/options.js';
import { Deferred, limitWait, throwIfAborted } from '../common/waiting/waiting.js';
import { QueueError } from '../errors.js';

/** The way of one message through the functions around its sending. */
export interface SendAround {
  readonly message: Message;
  readonly around: Around<SendContext> | undefined;
  readonly trace: SendTrace;
  /** The functions may take as long as the send. */
  readonly limits: Pick<PublishOptions, 'signal' | 'timeoutMs'>;
  /** Resolves to whether it is stored. */
  send(message: Message): Promise<boolean>;
}

/**
 * Sends a message within `around`, and publishes that on the tracing channel; both may add headers. Resolves to what
 * `send` resolved to. Rejects as they do, with `ABORTED` if `around` did not send, and with `TIMEOUT` or `ABORTED` if the
 * limits are over before it did: then it can't send any more.
 */
export async function sendAround({ message, around, trace, limits, send }: SendAround): Promise<boolean> {
  const { queue, id, headers } = trace;
  const ended = new Deferred();
  let sending: Promise<boolean> | undefined;
  let isOver = false;
  // Called after the subscribers of its start, which may add headers.
  const next = async () => {
    if (isOver) throw new QueueError('ABORTED', `message ${id}: next was called after the end of the send`);
    checkAdded(message, headers);
    sending = send({ ...message, headers });
    await sending;
    return { id };
  };
  const withFunctions = async (functions: Around<SendContext>) => {
    const action = `message ${id}: the 'around' functions`;
    throwIfAborted(limits.signal, action);
    const release = limitWait(limits, action, (error) => {
      isOver = true;
      // Once it is being sent, the outcome of the message counts.
      if (sending === undefined) ended.reject(error);
      else ended.resolve();
    });
    try {
      await Promise.race([functions(next, { queue, id, headers }), ended.promise]);
    } finally {
      isOver = true;
      release();
    }
    // The outcome of the message counts, whatever the functions make of it.
    await (sending ?? Promise.reject(notCalled(id)));
  };
  const within = async () => {
    await (around === undefined ? next() : withFunctions(around));
    return { id };
  };
  await (sendTracing.hasSubscribers ? sendTracing.tracePromise(within, trace) : within());
  return sending ?? Promise.reject(notCalled(id));
}

/**
 * Throws `INVALID_MESSAGE` for added, changed or removed headers in which the toolkit itself writes the history of a
 * message.
 */
export function checkAdded(message: Message, headers: SendTrace['headers']): void {
  const before = message.headers;
  for (const name in headers) if (headers[name] !== before[name]) checkName(message, name, 'set');
  for (const name in before) if (!(name in headers)) checkName(message, name, 'removed');
}

function checkName({ id }: Message, name: string, what: 'set' | 'removed'): void {
  if (!name.startsWith(RESERVED_HEADER_PREFIX)) return;
  throw new QueueError(
    'INVALID_MESSAGE',
    `message ${id}: an 'around' function or a tracing subscriber ${what} the header ${quote(name)}: ` +
      `names that begin with '${RESERVED_HEADER_PREFIX}' are reserved`,
  );
}

function notCalled(id: string): QueueError {
  return new QueueError(
    'ABORTED',
    `message ${id}: an 'around' function did not call next(); nothing was stored`,
  );
}
