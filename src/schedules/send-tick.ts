import type { Backend, Message, Publishing } from '../broker.js';
import type { Around, SendContext } from '../common/around.js';
import { within } from '../common/limits.js';
import { sendTracing } from '../common/tracing.js';
import { sendAround } from '../producer/send-around.js';
import type { Schedule } from './schedule.js';
import type { ScheduleTarget } from './target.js';

/** How long making and sending the message of a tick may be held up by functions of the program. */
const TICK_LIMIT_MS = 30_000;

/** A message of a schedule, and where it goes. */
export interface Sending {
  readonly target: ScheduleTarget;
  readonly message: Message;
}

/** The message of a tick, whose value a function of the program may make. Rejects as that does, and with `TIMEOUT`. */
export function makeTick(
  { name, message }: Schedule,
  tick: Date | undefined,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Message> {
  const action = `the value of the schedule '${name}'`;
  return within(message(tick, maxBytes), action, { signal, timeoutMs: TICK_LIMIT_MS }, 'not made');
}

/** Sends as a producer does: see {@link sendAround}. `signal`: ends the functions around it. */
export async function sendTick(
  { url }: Pick<Backend, 'url'>,
  around: Around<SendContext> | undefined,
  { target, message }: Sending,
  signal: AbortSignal | undefined,
  send: (publishing: Publishing) => Promise<boolean>,
): Promise<boolean> {
  const { name: queue, to, mandatory } = target;
  if (around === undefined && !sendTracing.hasSubscribers) return send({ to, mandatory, message });
  const { id } = message;
  const headers = { ...message.headers };
  const verb = target.kind === 'queue' ? 'send' : 'publish';
  return sendAround({
    message,
    around,
    trace: { queue, id, verb, url, ...to, headers },
    limits: { signal, timeoutMs: TICK_LIMIT_MS },
    send: (sent) => send({ to, mandatory, message: sent }),
  });
}
