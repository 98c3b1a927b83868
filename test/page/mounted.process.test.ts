import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { AuditEntry, createPage, Page, PageOptions } from '../../src/page/index.js';
import { anyValue } from './any-value.js';
import { INSTALL_LIMIT_MS, missingBrowser, openBrowser, openTab } from './browser.js';
import { ask } from './served.js';

// What is built has the files for the browser beside it.
const built = (path: string) => new URL(`../../dist/${path}`, import.meta.url).href;
const { connect, createProducer, defineQueue, createConsumer, RejectMessage } = (await import(
  built('index.js')
)) as typeof import('../../src/index.js');
const metricsOf = (await import(built('metrics/index.js'))) as typeof import('../../src/metrics/index.js');
const pages = (await import(built('page/index.js'))) as { createPage: typeof createPage };

let missing: string | undefined;
let browser: Browser;
const open: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  missing = await missingBrowser();
  if (missing === undefined) browser = await openBrowser();
}, INSTALL_LIMIT_MS);
afterAll(() => browser?.close());
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** A page with a queue of one message and one dead letter, below `/ops` of a server. */
async function mount(
  options: PageOptions,
  answer: (page: Page, request: IncomingMessage, response: ServerResponse) => void = (
    page,
    request,
    response,
  ) => {
    if (request.url?.startsWith('/ops')) page(request, response);
    else response.writeHead(404).end();
  },
): Promise<{ page: Page; origin: string; server: Server }> {
  const broker = await connect('local:');
  open.push(() => broker.close());
  const orders = defineQueue('orders', anyValue);
  await createProducer(broker, orders).send(
    { secret: 'of the shop' },
    { id: 'm-1', headers: { tenant: 'blue' } },
  );
  const consumer = createConsumer(
    broker,
    orders,
    () => {
      throw new RejectMessage('no');
    },
    { observe: () => {} },
  );
  await consumer.start();
  while ((await broker.inspect('orders')).dead !== 1) await new Promise((resolve) => setTimeout(resolve, 5));
  await consumer.stop();
  await createProducer(broker, orders).send({ secret: 'of the shop' }, { id: 'm-2' });
  const page = pages.createPage(broker, options);
  open.push(() => page.close());
  const server = createServer((request, response) => answer(page, request, response)).listen(0, '127.0.0.1');
  open.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return { page, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

test('below a path of a server, all links, files and actions stay below it', async ({ skip }) => {
  skip(missing !== undefined, missing);
  const entries: AuditEntry[] = [];
  const options: PageOptions = { path: '/ops', user: () => 'ada', audit: (entry) => entries.push(entry) };
  const { page, origin } = await mount(options);
  const tab = await openTab(browser, `${origin}/ops/?token=${page.token}`);
  await tab.page.locator('th a:text-is("orders")').click();
  await tab.page.locator('h1:has-text("orders")').waitFor();
  expect(new URL(tab.page.url()).pathname).toBe('/ops/q/orders');
  await tab.page.keyboard.press('p');
  await tab.page.locator('dialog[open] button[type=submit]').click();
  await tab.page.locator('h1:has-text("paused")').waitFor();
  expect(entries).toEqual([
    expect.objectContaining({ user: 'ada', action: 'pause', queue: 'orders', ok: true }),
  ]);
  expect(tab.errors).toEqual([]);
  await tab.page.context().close();
});

/** What `app.use(path, page)` of Express and Connect does to a request. */
function use(path: string, page: Page, request: IncomingMessage, response: ServerResponse): void {
  const { url = '/' } = request;
  const rest = url.slice(path.length);
  const own = { originalUrl: url, baseUrl: path, url: rest.startsWith('/') ? rest : `/${rest}` };
  page(Object.assign(request, own), response);
}

test.each<[string, PageOptions, string, Parameters<typeof mount>[1]]>([
  [
    'used by Express',
    {},
    '/admin/queues',
    (page, request, response) => use('/admin/queues', page, request, response),
  ],
  [
    'used by Connect',
    {},
    '/admin/queues',
    (page, request, response) => {
      const { url = '/' } = request;
      const rest = url.slice('/admin/queues'.length);
      // It tells the removed part to nobody.
      page(
        Object.assign(request, { originalUrl: url, url: rest.startsWith('/') ? rest : `/${rest}` }),
        response,
      );
    },
  ],
  [
    'used by Express behind a proxy that removes a part of the path',
    { path: '/shop/queues' },
    '/shop/queues',
    (page, request, response) => {
      request.url = request.url?.replace(/^\/shop/, '') ?? '';
      use('/queues', page, request, response);
    },
  ],
  [
    'behind a proxy that removes the path',
    { path: '/shop' },
    '/shop',
    (page, request, response) => {
      request.url = request.url?.replace(/^\/shop/, '') || '/';
      page(request, response);
    },
  ],
])('%s, the browser stays below its path', async (_, options, path, answer) => {
  const { page, origin } = await mount({ audit: () => {}, ...options }, answer);
  const { body, headers } = await ask(`${origin}${path}/?token=${page.token}`);
  expect(body).toContain(`url=${path}/"`);
  expect(String(headers['set-cookie'])).toContain(`; Path=${path};`);
  const cookie = String(headers['set-cookie']).split(';', 1)[0] ?? '';
  const bare = await ask(`${origin}${path}?token=${page.token}`);
  expect(bare.body).toContain(`url=${path}/"`);
  const view = await ask(`${origin}${path}/q/orders`, { headers: { cookie } });
  expect(view.status).toBe(200);
  const links = [...view.body.matchAll(/(?:href|src|action|data-charts)="([^"#]+)"/g)].map(
    ([, link]) => link,
  );
  expect(links.length).toBeGreaterThan(8);
  expect(links.filter((link) => !link?.startsWith(`${path}/`))).toEqual([]);
  for (const part of ['/assets/page.js', '/q/orders/chart', '/dead'])
    expect([part, (await ask(`${origin}${path}${part}`, { headers: { cookie } })).status]).toEqual([
      part,
      200,
    ]);
  const { status } = await ask(`${origin}${path}/actions`, {
    method: 'POST',
    headers: { cookie, 'content-type': 'application/json', 'x-millrace-page': '1' },
    body: JSON.stringify({ action: 'pause', queue: 'orders' }),
  });
  expect(status).toBe(200);
});

test('with the metrics of its workers, the page says how long handlers take and how many fail', async () => {
  const metrics = metricsOf.createMetrics();
  const { origin } = await mount({ path: '/ops', token: false, metrics: [metrics], history: 'always' });
  metrics.stop();
  const { body } = await ask(`${origin}/ops/q/orders`);
  expect(body).toContain('data-chart="durations"');
  const [strip = ''] = /<dl class="strip">.*?<\/dl>/s.exec(body) ?? [];
  const labels = [...strip.matchAll(/<dt>(.*?)<\/dt>/g)].map(([, label]) => label);
  expect(labels.slice(5)).toEqual(['sent /s', 'handled /s', 'failed /s', 'handlers p95', 'consumers']);
  // Nothing but figures with their labels.
  expect(strip.replaceAll(/<div><dt>.*?<\/dd><\/div>/gs, '')).toBe('<dl class="strip"></dl>');
  expect(body).not.toContain('--metrics');
  expect(body).not.toContain('--keep-history');
  const chart = JSON.parse((await ask(`${origin}/ops/q/orders/chart`)).body) as { names: string[] };
  expect(chart.names).toEqual(expect.arrayContaining(['failed', 'p50', 'p95', 'p99']));
  // Without them, it says who knows.
  const other = await mount({ path: '/ops', token: false });
  const bare = (await ask(`${other.origin}/ops/q/orders`)).body;
  expect(bare).toContain('millrace ui --metrics');
  // And that figures are kept only while somebody looks.
  expect(bare).toContain('--keep-history');
});

test.each([['http://ada:secret@host/metrics'], ['host:9464'], [{}], [undefined]])(
  '%j is no place of metrics',
  async (source) => {
    const broker = await connect('local:');
    open.push(() => broker.close());
    expect(() => pages.createPage(broker, { metrics: [source as string] })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', message: expect.not.stringContaining('secret') }),
    );
  },
);

test('with hidden bodies, neither they nor headers are in any answer', async () => {
  const { origin } = await mount({ path: '/ops', token: false, hideBodies: true });
  for (const path of [
    '/q/orders',
    '/q/orders/dead',
    '/q/orders/dead/message?id=m-1',
    '/q/orders/dead/body?id=m-1',
  ]) {
    const { status, body } = await ask(`${origin}/ops${path}`);
    expect([path, status]).toEqual([path, path.includes('body') ? 403 : 200]);
    expect(body).not.toContain('secret');
    expect(body).not.toContain('blue');
  }
});

test('a response that another handler has begun is ended, and harms nobody', async () => {
  // A rejection that nobody handles fails the run.
  const broker = await connect('local:');
  const page = pages.createPage(broker, { token: false });
  const server = createServer((request, response) => {
    response.write('begun');
    page(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const answer = fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
  await expect(answer).rejects.toThrow();
  await page.close();
  await broker.close();
  server.close();
});

test('a page that is closed ends its streams, and its server can be closed', async () => {
  const { page, origin } = await mount({ path: '/ops', token: false });
  const { body } = await ask(`${origin}/ops/`);
  const stream = /data-stream="([^"]+)"/.exec(body)?.[1];
  const listening = ask(`${origin}/ops/events?view=${stream}`);
  // Its first events are there before it is closed, or it is refused: it ends either way.
  await page.close();
  expect([200, 503]).toContain((await listening).status);
  expect((await ask(`${origin}/ops/`)).status).toBe(503);
});
