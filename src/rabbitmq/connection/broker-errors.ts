/**
 * Interprets RabbitMQ's refusals. The reply codes are those of AMQP 0-9-1
 * (https://www.rabbitmq.com/amqp-0-9-1-reference); only the reply text names the argument in which a queue differs.
 */
import { QueueError } from '../../errors.js';
import { WrongServer } from './wrong-server.js';

const REPLY_SUCCESS = 200;
const CONNECTION_FORCED = 320;
const ACCESS_REFUSED = 403;
const NOT_FOUND = 404;
const RESOURCE_LOCKED = 405;
const PRECONDITION_FAILED = 406;

/** Added to the `x-max-length` of classic queues, so that no queue reaches it (see queue-arguments). */
export const CLASSIC_LENGTH_OFFSET = 1_000_000_000;

/** The reply code of an error that the broker caused; undefined for others. */
export function replyCode(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'number' ? error.code : undefined;
}

/** The broker's text, without amqplib's wrapping; for several errors, all of their texts. */
export function replyText(error: unknown): string {
  // Node tries all addresses of a host name; the error that combines their failures has no message.
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(replyText))].join('; ');
  }
  const text = error instanceof Error ? error.message || codeOf(error) || error.name : String(error);
  return /with message "(.*)"$/s.exec(text)?.[1] ?? tlsText(text) ?? text;
}

/**
 * The text of an OpenSSL error, without the codes and source locations, which take several lines.
 *
 *   80EC6C13077F0000:error:0A00042E:SSL routines:ssl3_read_bytes:tlsv1 alert protocol version:../deps/…:1601:SSL alert number 70
 */
function tlsText(text: string): string | undefined {
  const reasons = [...text.matchAll(/:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+)/g)].map(([, reason]) => reason);
  return reasons.length === 0 ? undefined : `TLS: ${[...new Set(reasons)].join('; ')}`;
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/**
 * Whether the broker closed the connection because of a request or a message on it, rather than because it shuts down
 * (320) or the network failed. The same request would most likely end the next connection, too.
 */
export function causedByRequest(error: unknown): boolean {
  const code = replyCode(error);
  return code !== undefined && code !== REPLY_SUCCESS && code !== CONNECTION_FORCED;
}

/** Whether the request was lost with its connection or channel, so that it may be repeated on another one. */
export function isInterrupted(error: unknown): boolean {
  return replyCode(error) === undefined && !(error instanceof QueueError);
}

/**
 * Whether a queue exists but is unavailable at the moment, because its node is down or its process is restarting.
 * RabbitMQ then answers with the same code as for a queue that does not exist.
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

/** Whether the user lacks a permission. */
export function isAccessRefused(error: unknown): boolean {
  return replyCode(refusalIn(error)) === ACCESS_REFUSED;
}

function refusalIn(error: unknown): unknown {
  return error instanceof QueueError ? error.cause : error;
}

export function isNotFound(error: unknown): boolean {
  return replyCode(error) === NOT_FOUND && !isUnavailable(error);
}

/** The error for a failed request about a queue. */
export function queueError(error: unknown, what: string, queue: string): QueueError {
  if (error instanceof QueueError) return error;
  const said = replyText(error);
  const options = { cause: error };
  if (isNotFound(error)) {
    return new QueueError(
      'QUEUE_MISSING',
      `${what}: there is no ${/ no exchange '/.test(said) ? 'exchange' : 'queue'} '${queue}' (${said}); declare it first, or check the name and the virtual host`,
      options,
    );
  }
  const code = replyCode(error);
  if (code === ACCESS_REFUSED || code === RESOURCE_LOCKED) {
    return new QueueError('ACCESS_REFUSED', `${what}: the broker refused access: ${said}`, options);
  }
  return mismatchError(error, queue) ?? new QueueError('BROKER_ERROR', `${what}: ${said}`, options);
}

/** A property in which a queue differs from its declaration, in the broker's words. */
export interface Mismatch {
  readonly property: string;
  readonly wanted: string;
  readonly there: string;
}

/**
 * The property for which a declaration was refused.
 *
 *   inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'classic' but current is 'quorum'
 *   inequivalent arg 'x-max-length' for …: received the value '5' of type 'byte' but current is none
 */
export function mismatchOf(error: unknown): Mismatch | undefined {
  if (replyCode(error) !== PRECONDITION_FAILED) return undefined;
  const match =
    /inequivalent arg '([^']*)' for (?:queue|exchange) .*: received (.*) but current is (.*)$/s.exec(
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

function mismatchError(error: unknown, name: string): QueueError | undefined {
  const mismatch = mismatchOf(error);
  if (mismatch === undefined) return undefined;
  const kind = /' for exchange '/.test(replyText(error)) ? 'exchange' : 'queue';
  return new QueueError(
    'QUEUE_MISMATCH',
    `the ${kind} '${name}' exists with other properties: ${mismatchText(mismatch)}. ` +
      `Use it as it is with declare: 'existing', change the definition, or delete the ${kind} so that it is declared again`,
    { cause: error },
  );
}

function plain(value: string): string {
  const [, text = value] = /^(?:the value )?'(.*?)'(?: of type '[^']*')?$/s.exec(value) ?? [];
  if (/^1\d{9}$/.test(text)) return String(Number(text) - CLASSIC_LENGTH_OFFSET);
  // For example the name of the default exchange.
  return text === '' ? "''" : text;
}

/**
 * Whether the broker refused the user, the password, the virtual host or a further connection. amqplib drops the code
 * and the text of a refusal after the log-in: for a virtual host and for all connection limits RabbitMQ sends
 * `connection.close` (code 530, NOT_ALLOWED) in place of `connection.open-ok`.
 */
export function isLoginRefusal(error: unknown): boolean {
  const text = error instanceof Error ? error.message : '';
  return /\b403 \(ACCESS-REFUSED\)|\b530 \(NOT-ALLOWED\)/.test(text) || refusesVhost(text);
}

/** The error for a connection that could not be opened. `address`: without its password. */
export function loginError(error: unknown, address: string): QueueError {
  const text = replyText(error);
  const why = refusesVhost(text)
    ? "no such virtual host (amqp://host means '/'), no permission for it, or a connection limit is reached"
    : text;
  return new QueueError('ACCESS_REFUSED', `the broker at ${address} refused the connection: ${why}`, {
    cause: error,
  });
}

/** Why a connection failed before the log-in, with the usual cause. */
export function connectErrorText(error: unknown, port: number): string {
  const text = replyText(error);
  if (CLOSED_DURING_LOG_IN.test(text)) {
    return `the connection was closed during the log-in: the broker is starting or stopping, or a port forwarder such as Docker's has no broker behind it (${text})`;
  }
  return text + portHint(port);
}

const CLOSED_DURING_LOG_IN =
  /Socket closed abruptly during opening|socket disconnected before secure TLS|ECONNRESET|write EPIPE/;

/** The system's codes for a host that has no name yet, no route, or nothing that listens. */
const NOT_THERE = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOENT',
];

/** Codes of connections that ended. */
const CUT = ['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT'];

/** Whether there is no server to probe. */
export function isNotThere(error: unknown): boolean {
  return errorsIn(error).some((each) => NOT_THERE.includes(codeOf(each)));
}

/**
 * Whether another attempt to connect may succeed without a change to the address, the credentials or a certificate: the
 * broker is not up yet, or the connection was lost.
 */
export function mayPass(error: unknown): boolean {
  return errorsIn(error).some(
    (each) =>
      NOT_THERE.includes(codeOf(each)) ||
      CUT.includes(codeOf(each)) ||
      replyCode(each) === CONNECTION_FORCED ||
      /Socket closed abruptly|Unexpected close|Heartbeat timeout|connection was closed|Channel ended|socket disconnected/.test(
        each.message,
      ),
  );
}

/** An error, its causes, and the errors that it combines; of a wrong server, not how its bytes were misread. */
function errorsIn(error: unknown): readonly Error[] {
  if (!(error instanceof Error)) return [];
  if (error instanceof WrongServer) return [error];
  const inner = error instanceof AggregateError ? error.errors : [];
  return [error, ...[...inner, error.cause].flatMap(errorsIn)];
}

/** A hint for servers that do not answer: web servers, and the management page, wait for a whole HTTP request. */
export function portHint(port: number): string {
  if (port === 15_672 || port === 15_671)
    return `; ${port} is the port of the management page, AMQP uses 5672 (TLS: 5671)`;
  return [80, 443, 8080].includes(port) ? `; ${port} is an HTTP port, AMQP uses 5672 (TLS: 5671)` : '';
}

function refusesVhost(text: string): boolean {
  return /Expected ConnectionOpenOk; got <ConnectionClose/.test(text);
}
