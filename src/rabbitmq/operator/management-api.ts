/** Queries RabbitMQ's management API (https://www.rabbitmq.com/docs/http-api-reference). */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Deferred, onAbort, throwIfAborted, timeoutText } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import { numberOf } from './listed-queue.js';

/** A page of 500 queues takes some hundred KiB; a larger response must not fill the memory. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export interface ManagementAccess {
  /** Without user and password: `http://host:15672/`, or with a path before `api/`. */
  readonly base: URL;
  readonly username: string;
  readonly password: string;
  /** As Node's `tls.connect` takes it. */
  readonly tls: object;
  /** For one answer. Milliseconds. */
  readonly timeoutMs: number;
  /** Whether its address was given, and not just the usual one. */
  readonly isGiven: boolean;
}

/**
 * GETs `api/<path>`, whose names are encoded, and returns the JSON; undefined if there is no such thing. An error text
 * names the address without user and password. Rejects: `UNREACHABLE` if there is no management API, `UNSUPPORTED` if there
 * is none at the usual address, `ACCESS_REFUSED`.
 */
export async function getJson(
  access: ManagementAccess,
  path: string,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  throwIfAborted(signal, 'asking the management API');
  const { status, text } = await get(access, path, signal);
  const { base, username } = access;
  if (status === 401 || status === 403) {
    const reason = reasonIn(text);
    // Since 4.0, a wrong password is no more than 'Not_Authorized'.
    const remedy = /login failed|not_authorized/i.test(reason)
      ? 'check the user and the password'
      : "give it the tag 'monitoring', and a permission for the virtual host";
    throw new QueueError(
      'ACCESS_REFUSED',
      `the management API at ${base.host} refuses the user '${username}'${reason}: ${remedy}`,
    );
  }
  const answer = parse(text);
  if (answer === undefined)
    throw unusable(access, `the server there is not the RabbitMQ management API (HTTP ${status})`);
  if (status === 404) return undefined;
  if (status !== 200) throw unusable(access, `it responded with HTTP ${status}${reasonIn(text)}`);
  return answer;
}

/** The server allows no more. */
const PAGE = 500;

/** The objects on the first pages of a list. */
export interface ListedPages {
  readonly items: readonly object[];
  /** How many there are on further pages, which were not read. */
  readonly unread: number;
}

/** `path`: with `?`. Rejects as `getJson`, and `UNSUPPORTED`. */
export async function getPages(
  access: ManagementAccess,
  path: string,
  maxPages: number,
  signal: AbortSignal | undefined,
): Promise<ListedPages> {
  const all: object[] = [];
  let unread = 0;
  for (let page = 1, pages = 1; page <= Math.min(pages, maxPages); page++) {
    const answer = await getJson(access, `${path}&page=${page}&page_size=${PAGE}`, signal);
    const { items, page_count, filtered_count } = (answer ?? {}) as Readonly<Record<string, unknown>>;
    if (answer !== undefined && !Array.isArray(items)) {
      throw new QueueError(
        'UNSUPPORTED',
        `the management API at ${access.base.href} returned a list in an unexpected format`,
      );
    }
    for (const item of (items ?? []) as readonly unknown[])
      if (typeof item === 'object' && item !== null) all.push(item);
    pages = numberOf(page_count) ?? 1;
    unread = Math.max(0, (numberOf(filtered_count) ?? 0) - page * PAGE);
  }
  return { items: all, unread };
}

/** A name as one segment of a path. */
export function segment(name: string): string {
  const encoded = encodeURIComponent(name);
  return /^\.+$/.test(encoded) ? encoded.replaceAll('.', '%2E') : encoded;
}

function get(
  access: ManagementAccess,
  path: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly status: number; readonly text: string }> {
  const { base, username, password, tls, timeoutMs } = access;
  const answer = new Deferred<{ readonly status: number; readonly text: string }>();
  const isTls = base.protocol === 'https:';
  const options = {
    host: base.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: base.port === '' ? (isTls ? 443 : 80) : Number(base.port),
    // As it is: a URL would take a queue called '..' for a step up.
    path: `${base.pathname.replace(/\/*$/, '')}/api/${path}`,
    headers: {
      authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
      accept: 'application/json',
      connection: 'close',
    },
    agent: false as const,
    ...(isTls ? tls : {}),
  };
  const fail = (reason: string) => answer.reject(unusable(access, reason));
  const onResponse = (response: IncomingMessage) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength;
      if (bytes <= MAX_ANSWER_BYTES) chunks.push(chunk);
      else {
        fail(`its response has more than ${MAX_ANSWER_BYTES} bytes`);
        request.destroy();
      }
    });
    response.on('end', () =>
      answer.resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
    );
    response.on('error', (error) => fail(error.message));
    response.on('close', () => fail('it closed the connection in the middle of its response'));
  };
  const request = isTls ? httpsRequest(options, onResponse) : httpRequest(options, onResponse);
  request.on('error', (error) => fail(connectFailure(error, isTls)));
  const timer = setTimeout(() => {
    fail(timeoutText(timeoutMs, 'no answer'));
    request.destroy();
  }, timeoutMs);
  const unlisten = signal && onAbort(signal, () => request.destroy(new Error('aborted')));
  request.end();
  return answer.promise.finally(() => {
    clearTimeout(timer);
    unlisten?.();
  });
}

/** What Node says of servers of another protocol names its own source files. */
function connectFailure(error: NodeJS.ErrnoException, isTls: boolean): string {
  const { code = '', message } = error;
  if (code.startsWith('HPE_')) return 'the server there does not speak HTTP';
  if (isTls && code === 'EPROTO') return 'the server there does not speak TLS: write http:// for https://';
  if (!isTls && code === 'ECONNRESET') return `${message}: if it speaks TLS, write https:// for http://`;
  return message || code;
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function reasonIn(text: string): string {
  const reason = (parse(text) as { readonly reason?: unknown } | undefined)?.reason;
  return typeof reason === 'string' ? ` (${reason.slice(0, 100)})` : '';
}

export function unusable({ base, isGiven }: ManagementAccess, reason: string): QueueError {
  const text = `the management API at ${base.host} can't be used: ${reason}`;
  return isGiven
    ? new QueueError('UNREACHABLE', text)
    : new QueueError('UNSUPPORTED', `${text}; if it is elsewhere, give its address as managementUrl`);
}
