/** The files that a browser loads: style, script, and the charts of uPlot. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';

const TYPES: Readonly<Record<string, string>> = {
  'page.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  'page.js': 'text/javascript; charset=utf-8',
  'uPlot.iife.min.js': 'text/javascript; charset=utf-8',
  'uPlot.min.css': 'text/css; charset=utf-8',
};

interface Asset {
  readonly body: Buffer;
  /** Once it was asked for: the first view need not wait for it. */
  zipped: Buffer | undefined;
  readonly tag: string;
}

const loaded = new Map<string, Asset>();

function load(name: string): Asset {
  const known = loaded.get(name);
  if (known !== undefined) return known;
  const body = readFileSync(new URL(`../client/${name}`, import.meta.url));
  const file: Asset = { body, zipped: undefined, tag: digest(body) };
  loaded.set(name, file);
  return file;
}

let version: string | undefined;

/** Identifies the contents of all files; a part of their path. */
function currentVersion(): string {
  version ??= digest(
    Object.keys(TYPES)
      .map((name) => load(name).tag)
      .join(),
  );
  return version;
}

function digest(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('base64url').slice(0, 12);
}

/** The path of a file below the page's own. */
export function asset(name: string): string {
  return `/assets/${currentVersion()}/${name}`;
}

/** Serves a file; false if there is none with that name. Browsers cache the current version only. */
export function serveAsset(
  name: string,
  wanted: string | undefined,
  headers: Readonly<Record<string, string | undefined>>,
  response: ServerResponse,
): boolean {
  const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
  if (type === undefined) return false;
  const file = load(name);
  const { body, tag } = file;
  const etag = `"${tag}"`;
  const caching = wanted === currentVersion() ? 'private, max-age=31536000, immutable' : 'no-cache';
  const common = { etag, 'cache-control': caching, vary: 'accept-encoding' };
  if (headers['if-none-match'] === etag) {
    response.writeHead(304, common).end();
    return true;
  }
  const isZipped = /\bgzip\b/.test(headers['accept-encoding'] ?? '');
  const encoding = isZipped ? { 'content-encoding': 'gzip' } : {};
  if (isZipped) file.zipped ??= gzipSync(body);
  response
    .writeHead(200, { ...common, ...encoding, 'content-type': type })
    .end(isZipped ? file.zipped : body);
  return true;
}
