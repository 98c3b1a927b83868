import type { Backend, Message, Publishing } from '../broker.js';
import type { Around, SendContext } from '../common/around.js';
import { errorText } from '../common/options.js';
import { emitWarning } from '../common/reporting/logger.js';
import { sendTracing } from '../common/tracing.js';
import { within } from '../common/waiting.js';
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

/**
 * Sends as a producer does: see {@link sendAround}. `signal`: ends the functions around it. Unlike that of a producer, its
 * outcome is that of the message: a tick that was sent must not be sent again because a function throws later, which is
 * a warning.
 */
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
  let sending: Promise<boolean> | undefined;
  try {
    return await sendAround({
      message,
      around,
      trace: { queue, id, verb, url, ...to, headers },
      limits: { signal, timeoutMs: TICK_LIMIT_MS },
      send: (sent) => {
        sending = send({ to, mandatory, message: sent });
        return sending;
      },
    });
  } catch (error) {
    if (sending === undefined) throw error;
    const isSent = await sending;
    if (isSent && around !== undefined) warnOnce(around, id, error);
    return isSent;
  }
}

/** The functions of schedulers that were reported. */
const reported = new WeakSet<Around<SendContext>>();

function warnOnce(around: Around<SendContext>, id: string, error: unknown): void {
  if (reported.has(around)) return;
  reported.add(around);
  const text = `message ${id} was sent, but an 'around' function of the scheduler threw afterwards: ${errorText(error)}`;
  emitWarning('MILLRACE_SCHEDULE', text, error);
}
