/** Crawls the site that is given, or a small one that it serves itself, ten pages at a time and then one at a time. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { crawl, type Limits } from './crawl.ts';
import { createSite } from './site.ts';

const { values, positionals } = parseArgs({
  options: {
    depth: { type: 'string', default: '5' },
    pages: { type: 'string', default: '200' },
    pause: { type: 'string' },
  },
  allowPositionals: true,
});
const [given] = positionals;
const site = given === undefined ? createSite() : undefined;
const start = site === undefined ? String(given) : await startOf(site);

const titles = new Map<string, string>();
const limits: Limits = {
  maxDepth: Number(values.depth),
  maxPages: Number(values.pages),
  pauseMs: Number(values.pause ?? (site === undefined ? 100 : 0)), // go easy on other people's servers
  timeoutMs: site === undefined ? 10_000 : 3000,
  onPage(url, { title, text }) {
    titles.set(url, `'${title}', ${text.split(' ').length} words`);
  },
};

const tenAtATime = await timed(limits);
for (const [url, { depth, outcome }] of tenAtATime.pages) {
  console.log(`${String(outcome).padEnd(12)} depth ${depth}  ${url}  ${titles.get(url) ?? ''}`.trimEnd());
}
console.log(`${tenAtATime.pages.size} pages, ten at a time: ${tenAtATime.seconds} s`);
if (site !== undefined) {
  const { pages, seconds } = await timed({ ...limits, concurrency: 1 });
  console.log(`${pages.size} pages, one at a time: ${seconds} s`);
}
site?.close();
site?.closeAllConnections();

async function startOf(server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function timed(how: Limits) {
  const begin = performance.now();
  const pages = await crawl(start, how);
  return { pages, seconds: ((performance.now() - begin) / 1000).toFixed(1) };
}
