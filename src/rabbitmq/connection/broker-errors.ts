/**
 * What RabbitMQ's refusals mean. The reply codes are AMQP 0-9-1's (https://www.rabbitmq.com/amqp-0-9-1-reference);
 * which argument of a queue differs is said in the reply text only.
 */
import { QueueError } from '../../errors.js';

const ACCESS_REFUSED = 403;
const NOT_FOUND = 404;
const RESOURCE_LOCKED = 405;
const PRECONDITION_FAILED = 406;

/** The reply code of an error that the broker caused; undefined for others. */
export function replyCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'number' ? error.code : undefined;
}

/** What the broker said, without what amqplib says around it. */
export function replyText(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return /with message "(.*)"$/s.exec(text)?.[1] ?? text;
}

/** Whether a link or channel that ended took the request with it: it may be made again on another one. */
export function isInterrupted(error: unknown): boolean {
  return replyCode(error) === undefined && !(error instanceof QueueError);
}

/**
 * A queue that is there, though not at present: its node is down, its process restarts. RabbitMQ answers with
 * the code of a queue that does not exist.
 */
export function isUnavailable(error: unknown): boolean {
  return (
    replyCode(error) === NOT_FOUND &&
    /is down or inaccessible|stopped by supervisor|has no leader/.test(replyText(error))
  );
}

/** Whether the broker refused something because another connection holds the queue exclusively. */
export function isLocked(error: unknown): boolean {
  return replyCode(error) === RESOURCE_LOCKED;
}

export function isNotFound(error: unknown): boolean {
  return replyCode(error) === NOT_FOUND && !isUnavailable(error);
}

/** The error for a request about a queue that failed. */
export function queueError(error: unknown, what: string, queue: string): QueueError {
  if (error instanceof QueueError) return error;
  const said = replyText(error);
  const options = { cause: error };
  if (isNotFound(error)) {
    return new QueueError(
      'QUEUE_MISSING',
      `${what}: there is no queue '${queue}' (${said}); declare it first, or look whether the name and the virtual host are right`,
      options,
    );
  }
  const code = replyCode(error);
  if (code === ACCESS_REFUSED || code === RESOURCE_LOCKED) {
    return new QueueError('ACCESS_REFUSED', `${what}: the broker refused the access: ${said}`, options);
  }
  return mismatchError(error, queue) ?? new QueueError('BROKER_ERROR', `${what}: ${said}`, options);
}

/** A property in which a queue differs from its declaration, as the broker words it. */
export interface Mismatch {
  readonly property: string;
  readonly wanted: string;
  readonly there: string;
}

/**
 * The first property that a declaration was refused for.
 *
 *   inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'classic' but current is 'quorum'
 *   inequivalent arg 'x-max-length' for …: received the value '5' of type 'byte' but current is none
 */
export function mismatchOf(error: unknown): Mismatch | undefined {
  if (replyCode(error) !== PRECONDITION_FAILED) return undefined;
  const match = /inequivalent arg '([^']*)' for queue .*: received (.*) but current is (.*)$/s.exec(
    replyText(error),
  );
  if (match === null) return undefined;
  const [, property = '', wanted = '', there = ''] = match;
  return { property, wanted, there };
}

/** `x-max-length is 10 there and 5 here` */
export function mismatchText({ property, wanted, there }: Mismatch): string {
  return `${property} is ${plain(there)} there and ${plain(wanted)} here`;
}

function mismatchError(error: unknown, queue: string): QueueError | undefined {
  const mismatch = mismatchOf(error);
  if (mismatch === undefined) return undefined;
  return new QueueError(
    'QUEUE_MISMATCH',
    `the queue '${queue}' is there with other properties: ${mismatchText(mismatch)}. ` +
      `Take it as it is with declare: 'existing', define it as it is there, or delete the queue and let it be declared anew`,
    { cause: error },
  );
}

/** Whether a declaration was refused because the queue, which is there, does not delay retries itself. */
export function lacksDelayedRetry(error: unknown): boolean {
  const refusal = error instanceof QueueError ? error.cause : error;
  return /inequivalent arg 'x-delayed-retry-type' for .* but current is none$/s.test(replyText(refusal));
}

function plain(value: string): string {
  const [, text = value] = /^(?:the value )?'(.*?)'(?: of type '[^']*')?$/s.exec(value) ?? [];
  // As that of the default exchange is.
  return text === '' ? "''" : text;
}

/**
 * Whether the broker itself turned the user, the password or the virtual host down. amqplib keeps neither the
 * code nor the text of a refusal after the log-in: a closing in the place of the last greeting is how a virtual
 * host is refused (code 530, NOT_ALLOWED).
 */
export function isLoginRefusal(error: unknown): boolean {
  const text = error instanceof Error ? error.message : '';
  return /\b403 \(ACCESS-REFUSED\)|\b530 \(NOT-ALLOWED\)/.test(text) || refusesVhost(text);
}

/** The error for a connection that was not opened to `address`, a masked one. */
export function loginError(error: unknown, address: string): QueueError {
  const text = replyText(error);
  const why = refusesVhost(text)
    ? "there is no such virtual host, or the user may not use it (amqp://host is the one called '/', amqp://host/ the one without a name)"
    : text;
  return new QueueError('ACCESS_REFUSED', `the broker at ${address} refused the connection: ${why}`, {
    cause: error,
  });
}

function refusesVhost(text: string): boolean {
  return /Expected ConnectionOpenOk; got <ConnectionClose/.test(text);
}
