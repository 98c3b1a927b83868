import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { type Broker, connect, createProducer, defineQueue } from '../../src/index.js';
import { anyValue } from './any-value.js';
import { browserOfFile } from './browser.js';
import { ask, type Served, serve } from './served.js';

const { openTab } = browserOfFile();
let folder: string;
let broker: Broker;
let served: Served;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-page-'));
  broker = await connect(`local:${folder}`);
  await send('orders', 3);
  await send('mails', 1);
});
beforeEach(async () => {
  served = await serve(['-u', `local:${folder}`]);
});
afterAll(async () => {
  await broker?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

async function send(queue: string, messages: number): Promise<void> {
  const producer = createProducer(broker, defineQueue(queue, anyValue));
  for (let n = 0; n < messages; n++) await producer.send(`message ${n}`);
}

test('the queues are shown, and their figures follow what happens', async () => {
  const { page, errors } = await openTab(served.address);
  const ready = (queue: string) => page.locator(`tr:has(th a:text-is("${queue}")) td[data-c=ready]`);
  await expect.poll(() => ready('orders').innerText()).toBe('3');
  await expect.poll(() => ready('mails').innerText()).toBe('1');
  // The same row, not a new table.
  const row = await page.locator('tr:has(th a:text-is("orders"))').elementHandle();
  await send('orders', 2);
  await expect.poll(() => ready('orders').innerText(), { timeout: 60_000 }).toBe('5');
  expect(await row?.evaluate((element) => element.isConnected)).toBe(true);
  expect(await page.locator('#state').innerText()).toBe('connected');
  expect(errors).toEqual([]);
  // The token is neither where "Back" leads nor in what the page would tell other sites.
  expect(await page.evaluate('document.referrer')).not.toContain('token');
  await page.goBack();
  expect(page.url()).not.toContain('token');
  await page.context().close();
});

test('a queue that comes while the page is open is announced, and shown on demand', async () => {
  const { page } = await openTab(served.address);
  await page.locator('th a:text-is("orders")').waitFor();
  await send('new-queue', 1);
  await page.locator('#list:has-text("1 new queue.")').waitFor();
  expect(await page.locator('th a:text-is("new-queue")').count()).toBe(0);
  await page.locator('a[data-refresh]').click();
  await page.locator('th a:text-is("new-queue")').waitFor();
  await page.locator('#list:has-text("new queue.")').waitFor({ state: 'detached' });
  await page.context().close();
});

test('what is typed filters the queues, and the address keeps it', async () => {
  const { page } = await openTab(served.address);
  await page.keyboard.press('/');
  await page.keyboard.type('mail');
  await page.waitForURL((url) => url.searchParams.get('f') === 'mail');
  await page.locator('tr:has-text("orders")').waitFor({ state: 'detached' });
  // Typing goes on where it was.
  expect(await page.locator('input[name=f]:focus').count()).toBe(1);
  await page.reload();
  expect(await page.locator('[data-row]').count()).toBe(1);
  await page.locator('input[name=f]').fill('nothing of that');
  await page.locator('text=No queue has').waitFor();
  await page.context().close();
});

test('the keyboard moves among the rows, opens one and shows its help', async () => {
  const { page } = await openTab(served.address);
  await page.keyboard.press('?');
  await page.locator('dialog[open] >> text=next, previous row').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('dialog[open]').waitFor({ state: 'detached' });
  const names = await page.locator('[data-row] th a').allInnerTexts();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.pathname === `/q/${names[1]}`);
  await page.context().close();
});

test('a page whose process has gone says so, and goes on when it is back', async () => {
  const port = new URL(served.origin).port;
  const { page } = await openTab(served.address);
  served.process.child.kill('SIGTERM');
  await served.process.exit();
  await page.locator('#gone:has-text("No connection to the server")').waitFor();
  expect(await page.locator('body').getAttribute('class')).toContain('stale');
  // Another process has another token, which the page asks for.
  const again = await serve(['-u', `local:${folder}`, '--port', port]);
  await page.locator('#gone:has-text("The page was restarted")').waitFor();
  await page.goto(again.address);
  await page.locator('#gone').waitFor({ state: 'hidden' });
  await page.context().close();
});

test('a connection that is gone without an end is opened again', async () => {
  const passed: Socket[] = [];
  let isSilent = false;
  const between = createServer((client) => {
    client.on('error', () => {});
    if (isSilent) return;
    const server = createConnection(Number(new URL(served.origin).port), '127.0.0.1');
    passed.push(server);
    client.pipe(server).pipe(client);
    server.on('error', () => {});
    onTestFinished(() => void server.destroy());
  });
  await once(between.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void between.close());
  const { port } = between.address() as AddressInfo;
  const { page } = await openTab(served.address.replace(/:\d+/, `:${port}`));
  await page.locator('#state:text-is("connected")').waitFor();
  await page.clock.install();
  // As a network that has forgotten them.
  isSilent = true;
  for (const server of passed) server.unpipe().resume();
  await page.clock.fastForward(16_000);
  await page.locator('#gone:has-text("No connection to the server")').waitFor();
  isSilent = false;
  await page.clock.fastForward(16_000);
  await page.locator('#gone').waitFor({ state: 'hidden' });
  await page.context().close();
});

test('a thousand queues make a small first page', async () => {
  const many = await mkdtemp(join(tmpdir(), 'millrace-page-many-'));
  const other = await connect(`local:${many}`);
  await Promise.all(
    Array.from({ length: 1000 }, (_, n) =>
      createProducer(other, defineQueue(`queue-${n}`, anyValue, { deadLetter: false })).send(n),
    ),
  );
  await other.close();
  const { address } = await serve(['-u', `local:${many}`]);
  const { page } = await openTab(address);
  expect(await page.locator('[data-row]').count()).toBe(50);
  await page.locator('text=Page 1 of 20').waitFor();
  const loaded: [string, number][] = await page.evaluate(
    `performance.getEntries()
      .filter((entry) => 'transferSize' in entry && !entry.name.includes('/events'))
      .map((entry) => [new URL(entry.name).pathname.split('/').pop(), entry.encodedBodySize])`,
  );
  // Before the icon, which no browser waits for.
  const names = loaded.map(([name]) => name).filter((name) => name !== 'icon.svg');
  expect(names.sort()).toEqual(['', 'page.css', 'page.js']);
  const sizes = loaded.map(([, bytes]) => bytes);
  expect(Math.min(...sizes)).toBeGreaterThan(0);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(60_000);
  await page.locator('a[rel=next]').click();
  await page.locator('text=Page 2 of 20').waitFor();
  await page.context().close();
  await rm(many, { recursive: true, force: true });
});

test('read-only: there are no buttons, and requests are refused', async () => {
  const own = await serve(['-u', `local:${folder}`, '--read-only']);
  const { page } = await openTab(own.address);
  await page.goto(`${own.origin}/q/orders`);
  expect(await page.locator('[data-ask]').count()).toBe(0);
  const { status } = await ask(`${own.origin}/actions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-millrace-page': '1', cookie: own.cookie },
    body: JSON.stringify({ action: 'purge', queue: 'orders' }),
  });
  expect(status).toBe(403);
  await page.context().close();
});
