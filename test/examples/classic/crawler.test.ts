import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { crawl } from '../../../examples/crawler/crawl.ts';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

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

test('crawler: missing, slow, truncated and foreign pages do not end the crawl', async () => {
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
  const pages = await crawl(`${site.origin}/`, { timeoutMs: 3000 });

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

test('crawler: links are read as a browser reads them, and each page is handed over', async () => {
  const site = await serve((request, response) => {
    if (request.url === '/') {
      response.end(`<base href="/in/"><title> The &amp; </title><a href='single'>one</a><a href=bare>two</a>
        <A HREF = "entity&#47;&quot;x&quot;">three</A><area href="area"><a name="none">four</a>
        <!-- <a href="comment"> --><script>'<a href="script">'</script><a href="../up?a=1&amp;b=2">five`);
    } else {
      response.setHeader(
        'content-type',
        request.url === '/in/area' ? 'image/png' : 'text/html; charset=utf-8',
      );
      response.end('<p>Grüße<br>aus der <b>Mühle</b>');
    }
  });
  const texts = new Map<string, string>();
  await crawl(`${site.origin}/`, {
    onPage(url, { title, text }) {
      texts.set(url.slice(site.origin.length), title || text);
      if (url.endsWith('bare')) throw new Error('no use for it');
    },
  });
  expect([...site.hits.keys()].sort()).toEqual([
    '/',
    '/in/area',
    '/in/bare',
    '/in/entity/%22x%22',
    '/in/single',
    '/up?a=1&b=2',
  ]);
  expect(texts.get('/')).toBe('The &');
  expect(texts.get('/in/single')).toMatch(/^Grüße ?aus der Mühle$/);
  expect(texts.has('/in/area'), 'no picture is read as a page').toBe(false);
});

test('crawler: a page without an end is read up to the limit', async () => {
  const site = await serve((request, response) => {
    if (request.url !== '/') response.end('short');
    else {
      response.write('<a href="/first">first</a>');
      const more = setInterval(() => response.write('x'.repeat(10_000)), 1);
      response.once('close', () => clearInterval(more));
    }
  });
  const pages = await crawl(`${site.origin}/`, { maxCharacters: 100_000, timeoutMs: 60_000 });
  expect([...pages.values()].map(({ outcome }) => outcome)).toEqual([200, 200]);
});

test('crawler runs against the site that it serves itself, and prints the times of both ways', async () => {
  const lines = await linesOf('crawler');
  expect(lines).toContainEqual(expect.stringMatching(/^TimeoutError +depth 3 +http:.*\/slow$/));
  // Which of them is longer is up to the machine, for one page takes up its whole time limit. That pages are visited
  // side by side is counted in the first of these tests.
  expect(lines.slice(-2)).toEqual([
    expect.stringMatching(/pages, ten at a time: [\d.]+ s$/),
    expect.stringMatching(/pages, one at a time: [\d.]+ s$/),
  ]);
  await expectAsInReadme('crawler', lines, { varies: [/127\.0\.0\.1:\d+/, /[\d.]+ s$/], anyOrder: true });
});
