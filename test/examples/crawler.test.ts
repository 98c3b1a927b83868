import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { load } from './load.js';
import { linesOf } from './run-example.js';

interface Page {
  readonly depth: number;
  readonly outcome: number | string;
}

const { crawl } = await load<{
  crawl(start: string, limits?: Record<string, number>): Promise<Map<string, Page>>;
}>('crawler/crawl.mjs');

/** A site on loopback that counts its visits. */
async function serve(listener: RequestListener) {
  const hits = new Map<string, number>();
  let underWay = 0;
  const counts = { mostAtOnce: 0 };
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    hits.set(path, (hits.get(path) ?? 0) + 1);
    counts.mostAtOnce = Math.max(counts.mostAtOnce, ++underWay);
    response.once('close', () => underWay--);
    listener(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { origin, hits, counts };
}

const links = (...paths: string[]) => paths.map((path) => `<a href="${path}">`).join('');

test('crawler: each page of a site with circles is visited once, ten at a time', async () => {
  const site = await serve((request, response) => {
    const page = Number(request.url?.slice(1) || 0);
    const body = links(
      '/',
      '//',
      `/${page}#part`,
      `/${(page * 3 + 1) % 200}`,
      `/${(page * 3 + 2) % 200}`,
      `/${(page * 3 + 3) % 200}`,
    );
    setTimeout(() => response.end(body), 5);
  });
  const pages = await crawl(`${site.origin}/0`, { maxDepth: 20 });

  expect([...site.hits.values()].every((visits) => visits === 1)).toBe(true);
  expect([...pages.keys()].map((url) => url.slice(site.origin.length)).sort()).toEqual(
    [...site.hits.keys()].sort(),
  );
  for (let page = 0; page < 200; page++) expect(site.hits.get(`/${page}`)).toBe(1);
  expect(site.counts.mostAtOnce).toBeGreaterThan(1);
  expect(site.counts.mostAtOnce).toBeLessThanOrEqual(10);
});

test('crawler: what is missing, slow, cut off or elsewhere does not end the crawl', async () => {
  const site = await serve((request, response) => {
    if (request.url === '/')
      response.end(
        links('/missing', '/slow', '/cut', '/moved', 'http://[', 'mailto:me', 'https://other.example/'),
      );
    else if (request.url === '/missing') response.writeHead(404).end(links('/not-followed'));
    else if (request.url === '/moved') response.writeHead(301, { location: '/target' }).end();
    else if (request.url === '/cut') response.destroy();
    else if (request.url === '/target') response.end('here');
  });
  const pages = await crawl(`${site.origin}/`, { timeoutMs: 300 });

  const outcomes = [...pages].map(([url, { outcome }]) => [url.slice(site.origin.length), outcome]);
  expect(Object.fromEntries(outcomes)).toEqual({
    '/': 200,
    '/missing': 404,
    '/slow': 'TimeoutError',
    '/cut': 'TypeError',
    '/moved': 301,
    '/target': 200,
  });
});

test('crawler: keeps to the limits of depth, of pages and of pace', async () => {
  const site = await serve((request, response) => {
    const page = Number(request.url?.slice(1) || 0);
    response.end(links(`/${page * 2 + 1}`, `/${page * 2 + 2}`));
  });
  const shallow = await crawl(`${site.origin}/0`, { maxDepth: 2 });
  expect([...shallow.values()].map(({ depth }) => depth).sort()).toEqual([0, 1, 1, 2, 2, 2, 2]);

  const few = await crawl(`${site.origin}/0`, { maxPages: 10 });
  expect(few.size).toBe(10);

  const begin = performance.now();
  await crawl(`${site.origin}/0`, { maxPages: 8, pauseMs: 20 });
  // However slow the machine, eight visits have seven pauses between them. A timer may be early by a millisecond.
  expect(performance.now() - begin).toBeGreaterThan(7 * 19);
});

test('crawler runs against the site that it serves itself', async () => {
  const lines = await linesOf('crawler', '--pause', '0');
  expect(lines.at(-1)).toBe(`${lines.length - 1} pages`);
  expect(lines).toContainEqual(expect.stringMatching(/^TimeoutError +depth 3 +http:.*\/slow$/));
  expect(lines).toContainEqual(expect.stringMatching(/^404 .*\/missing$/));
  expect(lines).toContainEqual(expect.stringMatching(/^302 .*\/moved$/));
  expect(lines.filter((line) => line.startsWith('200 '))).toHaveLength(31);
});
