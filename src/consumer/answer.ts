import type { Backend, Message } from '../broker.js';
import { errorReplyTo, isReplyAddress, type Request, replyTo } from '../common/message/reply-format.js';
import { errorText } from '../common/options.js';
import { isQueueError, type RemoteFailure } from '../errors.js';
import type { Outcome, Unhandled } from './settlement.js';

/** How long a reply may wait for room, for the connection and for its confirm. It occupies its handler's slot. */
const REPLY_LIMIT_MS = 30_000;

/** Whose requests are answered. */
export type RepliesTo = 'ours' | 'any';

/**
 * Whether a message asks for a reply and may have one. Every publisher can choose the `replyTo`, and the reply is sent
 * with this consumer's permissions: to an ordinary queue only if the consumer allows it.
 */
export function isAnswered<M extends Pick<Message, 'replyTo' | 'correlationId'>>(
  message: M,
  replies: RepliesTo,
): message is M & Pick<Request, 'replyTo' | 'correlationId'> {
  const { replyTo, correlationId } = message;
  if (!replyTo || correlationId === undefined) return false;
  return replies === 'any' || isReplyAddress(replyTo);
}

/**
 * Sends the outcome of a request to its requester. Never rejects: the message is settled all the same. Resolves to why the
 * reply can't be stored; undefined if it was, and if its requester is gone, which needs none.
 */
export async function answer(
  request: Request,
  outcome: Outcome,
  broker: Pick<Backend, 'publish'>,
): Promise<Error | undefined> {
  const send = (message: Message) =>
    broker.publish({ exchange: '', routingKey: request.replyTo }, message, { timeoutMs: REPLY_LIMIT_MS });
  try {
    await send(replyOf(request, outcome)).catch((error) => {
      if (!isQueueError(error, 'TOO_LARGE')) throw error;
      return send(errorReplyTo(request, { code: error.code, message: `the reply: ${error.message}` }));
    });
    return undefined;
  } catch (error) {
    const isGone = isQueueError(error, 'UNROUTABLE') && isReplyAddress(request.replyTo);
    return isGone ? undefined : (error as Error);
  }
}

function replyOf(request: Request, outcome: Outcome): Message {
  if (outcome.type !== 'handled') return errorReplyTo(request, failureOf(outcome));
  try {
    return replyTo(request, outcome.value);
  } catch (error) {
    const message = `the handler's return value can't be sent: ${errorText(error)}`;
    return errorReplyTo(request, { code: 'INVALID_MESSAGE', message });
  }
}

/** Only the message and the code of the error: its stack and other properties do not leave this process. */
function failureOf(outcome: Unhandled): RemoteFailure {
  const fallback = outcome.type === 'hopeless' ? outcome.code : outcome.type;
  return { code: codeOf(outcome.error) ?? fallback, message: outcome.text };
}

function codeOf(error: unknown): string | undefined {
  try {
    if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
    return typeof error.code === 'string' ? error.code : undefined;
  } catch {
    return undefined; // A getter that throws.
  }
}
