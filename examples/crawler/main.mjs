/** Crawls the site that is given, or a small one that it serves itself. */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { crawl } from './crawl.mjs';
import { createSite } from './site.mjs';

const { values, positionals } = parseArgs({
  options: {
    depth: { type: 'string', default: '5' },
    pages: { type: 'string', default: '200' },
    pause: { type: 'string', default: '5' },
  },
  allowPositionals: true,
});
const limits = {
  maxDepth: Number(values.depth),
  maxPages: Number(values.pages),
  pauseMs: Number(values.pause),
  timeoutMs: 1000,
};

const site = positionals.length === 0 ? createSite().listen(0, '127.0.0.1') : undefined;
if (site !== undefined) await once(site, 'listening');
const start = positionals[0] ?? `http://127.0.0.1:${site.address().port}/`;

const pages = await crawl(start, limits);
for (const [url, { depth, outcome }] of pages)
  console.log(`${String(outcome).padEnd(12)} depth ${depth}  ${url}`);
console.log(`${pages.size} pages`);

site?.close();
site?.closeAllConnections();
