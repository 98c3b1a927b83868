import type { Backend, Message } from '../broker.js';
import type { Around, SendContext } from '../common/around.js';
import { sendTracing } from '../common/tracing.js';
import { QueueError } from '../errors.js';

/** A message of a schedule, and its queue. */
export interface Publishing {
  readonly queue: string;
  readonly message: Message;
}

/**
 * Sends as a producer does: within `around`, and published on the tracing channel; both may add headers. Resolves to
 * what `send` resolved to. Rejects as they do, and with `ABORTED` if `around` did not send.
 */
export async function sendAround(
  broker: Pick<Backend, 'url'>,
  around: Around<SendContext> | undefined,
  { queue, message }: Publishing,
  send: (publishing: Publishing) => Promise<boolean>,
): Promise<boolean> {
  if (around === undefined && !sendTracing.hasSubscribers) return send({ queue, message });
  const { id } = message;
  const headers = { ...message.headers };
  const trace = {
    queue,
    id,
    verb: 'send' as const,
    url: broker.url,
    exchange: '',
    routingKey: queue,
    headers,
  };
  let isSent: boolean | undefined;
  // Called after the subscribers of its start, which may add headers.
  const next = async () => {
    isSent = await send({ queue, message: { ...message, headers } });
    return { id };
  };
  const within = async () => {
    await (around === undefined ? next() : around(next, { queue, id, headers }));
    return { id };
  };
  await (sendTracing.hasSubscribers ? sendTracing.tracePromise(within, trace) : within());
  if (isSent !== undefined) return isSent;
  throw new QueueError(
    'ABORTED',
    `message ${id}: an 'around' function did not call next(); nothing was stored`,
  );
}
