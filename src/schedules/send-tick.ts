import type { Backend, Message, Publishing } from '../broker.js';
import type { Around, SendContext } from '../common/hooks/around.js';
import { sendTracing } from '../common/hooks/tracing.js';
import { quote } from '../common/options.js';
import { within } from '../common/waiting/waiting.js';
import { QueueError } from '../errors.js';
import { sendAround } from '../producer/send-around.js';
import type { Schedule } from './schedule.js';
import type { ScheduleTarget } from './target.js';

/** How long functions of the program may hold up the making and sending of a message. */
const TICK_LIMIT_MS = 30_000;

/** A message of a schedule, and where it goes. */
export interface Sending {
  readonly target: ScheduleTarget;
  readonly message: Message;
}

/** The functions around the messages of a scheduler. */
export interface TickFunctions {
  readonly around: Around<SendContext> | undefined;
  /** Called when one of them throws after the message of this id was sent. */
  onLateError(id: string, error: Error): void;
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
 * outcome is that of the message: a tick that was sent must not be sent again because a function throws later.
 */
export async function sendTick(
  { url }: Pick<Backend, 'url'>,
  { around, onLateError }: TickFunctions,
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
    if (isSent) onLateError(id, asError(error));
    return isSent;
  }
}

/** The thrown value as an error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new QueueError('INVALID_MESSAGE', `thrown: ${quote(thrown)}`);
}
