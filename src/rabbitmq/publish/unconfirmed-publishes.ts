import { causedByRequest, replyCode, replyText } from '../connection/broker-errors.js';
import type { PendingPublish } from './pending-publish.js';

/** A message that was on the wire at this many connection errors is not sent again. */
const MAX_CONNECTION_ERRORS = 3;

/** How long the broker's limit of sizes is taken for granted once it has refused a message: it may be raised. */
const SIZE_LIMIT_VALID_MS = 60_000;

/**
 * The handling of unconfirmed messages when their channel is lost.
 *
 * RabbitMQ closes a channel because of one message, or the whole connection because of one frame, without saying which
 * message it was. It processes the messages of a channel in order: those before the refused one may be stored without a
 * confirm, and those after it are not even read. So a message counts as refused only if no other explanation is possible.
 * All others are sent again, suspected ones singly, so that the next error has a single cause.
 */
export class UnconfirmedPublishes {
  /**
   * Messages that the broker may have refused: while there are any, messages must be sent one by one. One that is settled,
   * or that the broker has answered about, is to be deleted.
   */
  readonly suspects = new Set<PendingPublish>();
  /** The last refusal of a message because of its size, while that is taken for granted. */
  tooLarge: { readonly refusal: Error; readonly maxBytes: number; readonly until: number } | undefined;

  /**
   * Fails a message that is larger than the broker takes, and returns whether it did. Each refusal by the broker ends the
   * channel, and all other messages on it are sent again.
   */
  refuseIfTooLarge(pending: PendingPublish): boolean {
    const known = this.tooLarge;
    if (known === undefined) return false;
    if (performance.now() > known.until) {
      this.tooLarge = undefined;
      return false;
    }
    const bytes = Buffer.byteLength(pending.wire.content);
    if (bytes <= known.maxBytes) return false;
    failAsTooLarge(pending, `${bytes} bytes, and the broker takes ${known.maxBytes}`, known.refusal);
    return true;
  }

  /**
   * The unconfirmed messages of a lost channel that are to be sent again, in their order; others are settled here.
   * `byServer`: the broker closed the channel, and not the whole connection.
   */
  toResend(sent: readonly PendingPublish[], reason: Error, byServer: boolean): readonly PendingPublish[] {
    for (const pending of sent) {
      pending.boundedTarget = undefined;
      pending.returned = undefined;
      // Its sender has given up, so it is not sent again.
      if (pending.settled) this.suspects.delete(pending);
    }
    if (byServer) this.attributeChannelError(sent, reason);
    else this.attributeConnectionError(sent, reason);
    const again = sent.filter((pending) => !pending.settled);
    for (const pending of again) pending.interrupted = pending.uncertain;
    return again.sort((a, b) => a.position - b.position);
  }

  /** `sent`: all unanswered messages of the channel, in order. Marks those that may be stored as uncertain. */
  attributeChannelError(sent: readonly PendingPublish[], refusal: Error): void {
    const maxBytes = maxBytesOf(refusal);
    if (maxBytes !== undefined) {
      this.tooLarge = { refusal, maxBytes, until: performance.now() + SIZE_LIMIT_VALID_MS };
    }
    const suspects = suspectsOf(sent, refusal);
    const last = suspects.at(-1);
    const isNamed = sizeOf(refusal) !== undefined || userIdOf(refusal) !== undefined;
    const refusedAtAnyTime = isNamed && suspects.length < sent.length;
    for (const suspect of suspects) {
      if (suspects.length === 1 || refusedAtAnyTime) refuse(suspect, refusal);
      else if (suspect === last && exchangeOf(refusal) !== undefined) refuse(suspect, refusal);
      else this.#suspect(suspect);
    }
    // Sent singly, it proves that other messages to the same exchange would be refused, too.
    if (sent.length === 1 && last !== undefined) this.#refuseAlike(last, refusal);
    for (const pending of sent) {
      if (pending === last) break;
      pending.uncertain = true;
    }
  }

  /** Like `attributeChannelError`, for an error that closed the connection, which other channels may have caused. */
  attributeConnectionError(sent: readonly PendingPublish[], error: Error): void {
    for (const pending of sent) pending.uncertain = true;
    if (!causedByRequest(error)) return;
    for (const pending of sent) {
      if (++pending.connectionErrors < MAX_CONNECTION_ERRORS) this.#suspect(pending);
      else {
        pending.giveUp(
          'BROKER_ERROR',
          `the broker closed the connection ${MAX_CONNECTION_ERRORS} times while it was on its way: ${replyText(error)}`,
          error,
        );
      }
    }
  }

  #suspect(pending: PendingPublish): void {
    if (!pending.settled) this.suspects.add(pending);
  }

  #refuseAlike({ wire: { exchange } }: PendingPublish, refusal: Error): void {
    if (exchangeOf(refusal) !== exchange) return;
    for (const suspect of this.suspects) {
      if (suspect.wire.exchange === exchange) refuse(suspect, refusal);
    }
  }
}

/** The messages to which the refusal may refer: those with the exchange, size or user in its text, else all. */
function suspectsOf(sent: readonly PendingPublish[], refusal: Error): readonly PendingPublish[] {
  const exchange = exchangeOf(refusal);
  const size = sizeOf(refusal);
  const userId = userIdOf(refusal);
  const named = sent.filter(
    ({ wire }) =>
      wire.exchange === exchange ||
      (size !== undefined && Buffer.byteLength(wire.content) === size) ||
      (userId !== undefined && wire.options.userId === userId),
  );
  return named.length > 0 ? named : sent;
}

/**
 *   NOT_FOUND - no exchange 'e' in vhost '/'
 *   ACCESS_REFUSED - write access to exchange 'e' in vhost '/' refused for user 'u'
 *   ACCESS_REFUSED - write access to topic 't' in exchange 'e' in vhost '/' refused for user 'u'
 */
function exchangeOf(refusal: Error): string | undefined {
  const name = /(?:no|access to|in) exchange '(.*)' in vhost '/.exec(replyText(refusal))?.[1];
  return name === 'amq.default' ? '' : name;
}

/** Other refusals quote names that anybody may have chosen. */
const SIZE_REFUSAL =
  /^PRECONDITION_FAILED - message size (\d+) is larger than (?:configured )?max size (\d+)/;

/** PRECONDITION_FAILED - message size 17000000 is larger than configured max size 16777216 */
function sizeOf(refusal: Error): number | undefined {
  const size = SIZE_REFUSAL.exec(replyText(refusal))?.[1];
  return size === undefined ? undefined : Number(size);
}

function maxBytesOf(refusal: Error): number | undefined {
  const bytes = SIZE_REFUSAL.exec(replyText(refusal))?.[2];
  return bytes === undefined ? undefined : Number(bytes);
}

/** PRECONDITION_FAILED - user_id property set to 'someone' but authenticated user was 'guest' */
function userIdOf(refusal: Error): string | undefined {
  return /user_id property set to '(.*)' but authenticated user was '/.exec(replyText(refusal))?.[1];
}

/** No broker ever accepts it, so it is known not to be stored. */
function failAsTooLarge(pending: PendingPublish, text: string, refusal: Error): void {
  pending.fail(
    'TOO_LARGE',
    `${text}; lower maxMessageBytes, or raise the broker's max_message_size`,
    refusal,
  );
}

function refuse(pending: PendingPublish, refusal: Error): void {
  const text = replyText(refusal);
  const code = replyCode(refusal);
  if (code === 404) pending.refuse('UNROUTABLE', text, refusal);
  else if (code === 403) pending.refuse('ACCESS_REFUSED', text, refusal);
  else if (sizeOf(refusal) !== undefined) {
    failAsTooLarge(pending, text, refusal);
  } else if (userIdOf(refusal) !== undefined) {
    const advice = 'leave userId out, or set it to the user of the connection';
    pending.fail('INVALID_MESSAGE', `${text}; ${advice}`, refusal);
  } else if (code === 406) pending.fail('INVALID_MESSAGE', text, refusal);
  else pending.refuse('BROKER_ERROR', text, refusal);
}
