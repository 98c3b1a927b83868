/** The files that a browser loads: style, script, and the charts of uPlot. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

const TYPES: Readonly<Record<string, string>> = {
  'page.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  'page.js': 'text/javascript; charset=utf-8',
  'actions.js': 'text/javascript; charset=utf-8',
  'charts.js': 'text/javascript; charset=utf-8',
  'jobs.js': 'text/javascript; charset=utf-8',
  'keys.js': 'text/javascript; charset=utf-8',
  'request.js': 'text/javascript; charset=utf-8',
  'stream.js': 'text/javascript; charset=utf-8',
  'visit.js': 'text/javascript; charset=utf-8',
  'uPlot.iife.min.js': 'text/javascript; charset=utf-8',
  'uPlot.min.css': 'text/css; charset=utf-8',
};

interface Asset {
  readonly body: Buffer;
  readonly zipped: Buffer;
  readonly tag: string;
}

const loaded = new Map<string, Asset>();

function load(name: string): Asset {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const body = readFileSync(new URL(`./client/${name}`, import.meta.url));
  const tag = createHash('sha256').update(body).digest('base64url').slice(0, 12);
  const file = { body, zipped: gzipSync(body), tag };
  loaded.set(name, file);
  return file;
}

/** The path of a file below the page's own. The browser checks for a new version each time. */
export function asset(name: string): string {
  return `/assets/${name}`;
}

/** Serves a file; false if there is none of that name. */
export function serveAsset(
  name: string,
  headers: Readonly<Record<string, string | undefined>>,
  response: ServerResponse,
): boolean {
  const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  if (type === undefined) return false;
  const { body, zipped, tag } = load(name);
  const etag = `"${tag}"`;
  const common = { etag, 'cache-control': 'no-cache', vary: 'accept-encoding' };
  if (headers['if-none-match'] === etag) {
    response.writeHead(304, common).end();
    return true;
  }
  const isZipped = /\bgzip\b/.test(headers['accept-encoding'] ?? '');
  const encoding = isZipped ? { 'content-encoding': 'gzip' } : {};
  response.writeHead(200, { ...common, ...encoding, 'content-type': type }).end(isZipped ? zipped : body);
  return true;
}
