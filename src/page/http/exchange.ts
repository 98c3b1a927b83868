/** Reads requests and writes answers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzip } from 'node:zlib';
import { isQueueError, type QueueErrorCode } from '../../errors.js';
import type { Job } from '../actions/jobs.js';
import { Links } from '../html/links.js';
import { ACTION_HEADER } from './access.js';

/** The body of an action: some ids. */
const MAX_REQUEST_BYTES = 512 * 1024;
/** Smaller answers are not worth compressing. */
const MIN_ZIPPED_BYTES = 1024;

const STATUS: Readonly<Partial<Record<QueueErrorCode, number>>> = {
  QUEUE_MISSING: 404,
  INVALID_OPTION: 400,
  ACCESS_REFUSED: 403,
  UNSUPPORTED: 501,
  CLOSED: 503,
  TIMEOUT: 504,
  FULL: 507,
};

export function statusOf(error: unknown): number {
  if (error instanceof BadRequest) return error.status;
  return isQueueError(error) ? (STATUS[error.code] ?? 502) : 500;
}

export class BadRequest extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The target of a request. */
export interface Place {
  /** The path below that of the page. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly links: Links;
}

/** `own`: the path of the page. Express and Connect have removed a part of `url`; Express has it as `baseUrl`. */
export function locate(request: IncomingMessage, own: string): Place {
  const { originalUrl, baseUrl } = request as { originalUrl?: string; baseUrl?: string };
  const { url = '/' } = request;
  const [whole = '/', search = ''] = (originalUrl ?? url).split(/\?(.*)/s, 2);
  const mount = baseUrl ?? removed(whole, url.split('?', 1)[0] ?? '/');
  // A proxy may have removed a part of the path that browsers need.
  const path = below(own, whole) ?? below(mount, whole) ?? whole;
  return { path, query: new URLSearchParams(search), links: new Links(own || mount) };
}

/** The part of a path of which only `rest` is left. */
function removed(whole: string, rest: string): string {
  if (whole.endsWith(rest)) return whole.slice(0, -rest.length);
  return rest === '/' ? whole : '';
}

/** The part of a path below another, with its slash; undefined if it is not below it. */
function below(base: string, path: string): string | undefined {
  if (path === base) return '/';
  return base !== '' && path.startsWith(`${base}/`) ? path.slice(base.length) : undefined;
}

export async function readJson(request: IncomingMessage): Promise<unknown> {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    throw new BadRequest(415, `send application/json, with the header ${ACTION_HEADER}`);
  // A body parser of the server around the page has read it.
  const { body } = request as { body?: unknown };
  if (body !== undefined) return body;
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_REQUEST_BYTES) throw new BadRequest(413, 'the request is too large');
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    throw new BadRequest(400, 'the request is no JSON');
  }
}

export function headersOf({ headers }: IncomingMessage): Readonly<Record<string, string | undefined>> {
  return {
    'if-none-match': headers['if-none-match'],
    'accept-encoding': String(headers['accept-encoding'] ?? ''),
  };
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response
    .writeHead(status, { 'content-type': 'application/json; charset=utf-8' })
    .end(JSON.stringify(value));
}

export async function sendHtml(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
): Promise<void> {
  const headers = { 'content-type': 'text/html; charset=utf-8', vary: 'accept-encoding' };
  const isZipped =
    text.length >= MIN_ZIPPED_BYTES && /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  if (!isZipped) {
    response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : text);
    return;
  }
  const body = await new Promise<Buffer>((resolve, reject) => {
    gzip(text, (error, zipped) => (error === null ? resolve(zipped) : reject(error)));
  });
  response
    .writeHead(status, { ...headers, 'content-encoding': 'gzip' })
    .end(request.method === 'HEAD' ? undefined : body);
}

/** Sends the outcomes of a job, one line of JSON per message. */
export function sendOutcomes(response: ServerResponse, job: Job | undefined): void {
  if (job === undefined) {
    sendJson(response, 404, { error: 'this is not known any more' });
    return;
  }
  const lines = job.outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`).join('');
  const rest = job.forgotten > 0 ? `${JSON.stringify({ more: job.forgotten })}\n` : '';
  response
    .writeHead(200, {
      'content-type': 'application/jsonl; charset=utf-8',
      'content-disposition': 'attachment; filename="outcomes.jsonl"',
    })
    .end(lines + rest);
}
