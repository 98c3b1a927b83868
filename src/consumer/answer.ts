import type { Broker, Message } from '../broker.js';
import { errorText } from '../common/error-text.js';
import { errorReplyTo, type Request, replyTo } from '../common/reply-format.js';
import { QueueError, type RemoteFailure } from '../errors.js';
import type { Outcome } from './settlement.js';

/** How long a reply may wait for room, for the link, for its confirm. Meanwhile it holds its handler's place. */
const REPLY_LIMIT_MS = 30_000;

/**
 * Sends what became of a request to who asked. Never rejects: that nobody is there any more costs nothing, and who
 * is there but gets no reply has a time limit.
 */
export async function answer(
  request: Request,
  outcome: Outcome,
  broker: Pick<Broker, 'publish'>,
): Promise<void> {
  const send = (message: Message) =>
    broker.publish({ exchange: '', routingKey: request.replyTo }, message, { timeoutMs: REPLY_LIMIT_MS });
  try {
    await send(replyOf(request, outcome));
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== 'TOO_LARGE') return;
    await send(errorReplyTo(request, { code: error.code, message: `the reply: ${error.message}` })).catch(
      () => {},
    );
  }
}

function replyOf(request: Request, outcome: Outcome): Message {
  if (outcome.type !== 'handled') return errorReplyTo(request, failureOf(outcome));
  try {
    return replyTo(request, outcome.value);
  } catch (error) {
    const message = `what the handler returned can't be sent: ${errorText(error)}`;
    return errorReplyTo(request, { code: 'INVALID_MESSAGE', message });
  }
}

/** The message and the code, and nothing else of the error: what it knows of this side stays here. */
function failureOf(outcome: Exclude<Outcome, { type: 'handled' }>): RemoteFailure {
  const fallback = outcome.type === 'failed' ? 'failed' : outcome.code;
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
