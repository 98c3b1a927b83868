import type { Backend, Message, Publishing } from '../broker.js';
import type { Around, SendContext } from '../common/around.js';
import { sendTracing } from '../common/tracing.js';
import { QueueError } from '../errors.js';
import type { ScheduleTarget } from './target.js';

/** A message of a schedule, and where it goes. */
export interface Sending {
  readonly target: ScheduleTarget;
  readonly message: Message;
}

/**
 * Sends as a producer does: within `around`, and published on the tracing channel; both may add headers. Resolves to
 * what `send` resolved to. Rejects as they do, and with `ABORTED` if `around` did not send.
 */
export async function sendAround(
  broker: Pick<Backend, 'url'>,
  around: Around<SendContext> | undefined,
  { target, message }: Sending,
  send: (publishing: Publishing) => Promise<boolean>,
): Promise<boolean> {
  const { name: queue, to, mandatory } = target;
  if (around === undefined && !sendTracing.hasSubscribers) return send({ to, mandatory, message });
  const { id } = message;
  const headers = { ...message.headers };
  const trace = {
    queue,
    id,
    verb: target.kind === 'queue' ? ('send' as const) : ('publish' as const),
    url: broker.url,
    ...to,
    headers,
  };
  let isSent: boolean | undefined;
  // Called after the subscribers of its start, which may add headers.
  const next = async () => {
    isSent = await send({ to, mandatory, message: { ...message, headers } });
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
