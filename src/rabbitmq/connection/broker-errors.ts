/**
 * What RabbitMQ's refusals mean. The reply codes are AMQP 0-9-1's (https://www.rabbitmq.com/amqp-0-9-1-reference);
 * which argument of a queue differs is said in the reply text only.
 */
import { QueueError } from '../../errors.js';

const REPLY_SUCCESS = 200;
const CONNECTION_FORCED = 320;
const ACCESS_REFUSED = 403;
const NOT_FOUND = 404;
const RESOURCE_LOCKED = 405;
const PRECONDITION_FAILED = 406;

/** Added to the `x-max-length` of classic queues, which no queue is to reach (see queue-arguments). */
export const CLASSIC_LENGTH_OFFSET = 1_000_000_000;

/** The reply code of an error that the broker caused; undefined for others. */
export function replyCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'number' ? error.code : undefined;
}

/** The text of the broker, without what amqplib puts around it; of several errors, all their texts. */
export function replyText(error: unknown): string {
  // Node tries all addresses of a name, and its error for all of them has no text of its own.
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(replyText))].join('; ');
  }
  const text = error instanceof Error ? error.message || codeOf(error) || error.name : String(error);
  return /with message "(.*)"$/s.exec(text)?.[1] ?? text;
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/**
 * Whether the broker closed the connection because of something that was asked or sent on it, rather than because it
 * shuts down (320) or the link broke. The same on the next connection would most likely end that one, too.
 */
export function causedByRequest(error: unknown): boolean {
  const code = replyCode(error);
  return code !== undefined && code !== REPLY_SUCCESS && code !== CONNECTION_FORCED;
}

/** Whether a link or channel that ended took the request with it: it may be made again on another one. */
export function isInterrupted(error: unknown): boolean {
  return replyCode(error) === undefined && !(error instanceof QueueError);
}

/**
 * A queue that is there, though not at present: its node is down, its process restarts. RabbitMQ answers with
 * the code of a queue that does not exist.
 */
function isUnavailable(error: unknown): boolean {
  return (
    replyCode(error) === NOT_FOUND &&
    /is down or inaccessible|stopped by supervisor|has no leader/.test(replyText(error))
  );
}

/** Whether the broker refused something because another connection holds the queue exclusively. */
export function isLocked(error: unknown): boolean {
  return replyCode(refusalIn(error)) === RESOURCE_LOCKED;
}

/** Whether the user has no permission. */
export function isAccessRefused(error: unknown): boolean {
  return replyCode(refusalIn(error)) === ACCESS_REFUSED;
}

function refusalIn(error: unknown): unknown {
  return error instanceof QueueError ? error.cause : error;
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
      `${what}: there is no queue '${queue}' (${said}); declare it first, or check the name and the virtual host`,
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
    `the queue '${queue}' exists with other properties: ${mismatchText(mismatch)}. ` +
      `Take it as it is with declare: 'existing', define it as it is there, or delete the queue and let it be declared anew`,
    { cause: error },
  );
}

function plain(value: string): string {
  const [, text = value] = /^(?:the value )?'(.*?)'(?: of type '[^']*')?$/s.exec(value) ?? [];
  if (/^1\d{9}$/.test(text)) return String(Number(text) - CLASSIC_LENGTH_OFFSET);
  // The name of the default exchange, for one.
  return text === '' ? "''" : text;
}

/**
 * Whether the broker itself refused the user, the password, the virtual host or one more connection. amqplib keeps
 * neither the code nor the text of a refusal after the log-in: RabbitMQ closes the connection in the place of
 * `connection.open-ok` for a virtual host and for all its limits of connections (code 530, NOT_ALLOWED).
 */
export function isLoginRefusal(error: unknown): boolean {
  const text = error instanceof Error ? error.message : '';
  return /\b403 \(ACCESS-REFUSED\)|\b530 \(NOT-ALLOWED\)/.test(text) || refusesVhost(text);
}

/** The error for a connection that was not opened to `address`, a masked one. */
export function loginError(error: unknown, address: string): QueueError {
  const text = replyText(error);
  const why = refusesVhost(text)
    ? "there is no such virtual host (amqp://host is the one called '/', amqp://host/ the one without a name), the user may not use it, or a limit of connections is reached: of the user, the virtual host or the node"
    : text;
  return new QueueError('ACCESS_REFUSED', `the broker at ${address} refused the connection: ${why}`, {
    cause: error,
  });
}

/** Why a connection to `host:port` failed before the log-in, with a hint at what answers there instead of AMQP. */
export function connectErrorText(error: unknown, { tls, port }: { tls: boolean; port: number }): string {
  const text = replyText(error);
  // A first frame that amqplib can't read: an HTTP answer or a TLS alert, taken for a length.
  if (/Frame size \d+ exceeds|Invalid frame|Socket closed abruptly during opening/.test(text)) {
    return `what answers there does not speak AMQP 0-9-1${tls ? '' : ' without TLS'}; is it the management port, ${tls ? '' : 'a TLS port, '}or a proxy? (${text})`;
  }
  if (/wrong version number|packet length too long|EPROTO/.test(text)) {
    return `what answers there does not speak TLS; is it a port for amqp: rather than amqps:? (${text})`;
  }
  return text + portHint(port);
}

/** For a server that says nothing: the management page and web servers wait for a whole HTTP request. */
export function portHint(port: number): string {
  if (port === 15_672 || port === 15_671)
    return `; ${port} is the port of the management page, AMQP has 5672 (TLS: 5671)`;
  return [80, 443, 8080].includes(port) ? `; ${port} is a port for HTTP, AMQP has 5672 (TLS: 5671)` : '';
}

function refusesVhost(text: string): boolean {
  return /Expected ConnectionOpenOk; got <ConnectionClose/.test(text);
}
