/**
 * Pictures of the page, for people to look at: light, dark and on a phone, in test/page/.pictures. `npm run pictures` takes
 * them again, after some minutes of traffic, and puts those that the documentation shows into docs/.
 */
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Broker,
  connect,
  createConsumer,
  createProducer,
  defineQueue,
  RejectMessage,
} from '../../src/index.js';
import { createMetrics } from '../../src/metrics/index.js';
import { eventually } from '../support/eventually.js';
import { anyValue } from './any-value.js';
import { INSTALL_LIMIT_MS, missingBrowser, openBrowser, openTab } from './browser.js';
import { serve } from './served.js';

/** How long the shop is open before the first picture. */
const TRAFFIC_MS = Number(process.env.PICTURES_TRAFFIC_MS ?? 0);

const pictures = fileURLToPath(new URL('.pictures/', import.meta.url));
let missing: string | undefined;
let browser: Browser;
let folder: string;
let broker: Broker;

beforeAll(async () => {
  missing = await missingBrowser();
  if (missing !== undefined) return;
  await mkdir(pictures, { recursive: true });
  folder = await mkdtemp(join(tmpdir(), 'shop-'));
  broker = await connect(`local:${folder}`);
  browser = await openBrowser();
}, INSTALL_LIMIT_MS);
afterAll(async () => {
  await browser?.close();
  await broker?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

const queue = (name: string) => defineQueue(name, anyValue);
const customers = ['Ada', 'Grace', 'Edsger', 'Barbara', 'Tony'];

async function send(name: string, messages: number, delayMs?: number): Promise<void> {
  const producer = createProducer(broker, queue(name));
  for (let n = 0; n < messages; n++) {
    const value = { order: `A-${1000 + n}`, customer: customers[n % 5], total: 12.5 + n };
    await producer.send(value, { id: `${name}-${1000 + n}`, ...(delayMs === undefined ? {} : { delayMs }) });
  }
}

/** A shop at three in the morning: its payments fail, its mails wait. */
async function openShop(): Promise<() => Promise<void>> {
  await send('payments', 160);
  await send('mails', 42);
  await send('mails', 3, 3_600_000);
  let handled = 0;
  const payments = createConsumer(
    broker,
    queue('payments'),
    ({ order, total }: { order: string; total: number }) => {
      handled++;
      if (total % 7 < 1) throw new RejectMessage(`the card of ${order} was declined`);
      throw new Error(`connect ETIMEDOUT 10.0.3.${handled % 200}:443 after ${3000 + handled} ms`);
    },
    { retry: { delaysMs: [50] }, observe: () => {} },
  );
  const others = ['invoices', 'search-index', 'thumbnails', 'webhooks'].map((name) =>
    createConsumer(broker, queue(name), () => delay(TRAFFIC_MS === 0 ? 0 : 250)),
  );
  await Promise.all(others.map((consumer) => consumer.start()));
  for (let ms = 0; ms < TRAFFIC_MS; ms += 20_000) {
    await Promise.all([
      send('mails', 3),
      send('thumbnails', 90 - (ms % 70_000) / 1000),
      send('webhooks', 10),
    ]);
    if (ms % 60_000 === 0) await send('search-index', 120);
    await delay(20_000);
  }
  await payments.start();
  await eventually(() => payments.counts.deadLettered > 160);
  return async () => {
    await Promise.all([payments, ...others].map((consumer) => consumer.stop()));
  };
}

const LOOKS: readonly (readonly [string, BrowserContextOptions])[] = [
  ['light', { colorScheme: 'light', viewport: { width: 1100, height: 640 } }],
  ['dark', { colorScheme: 'dark', viewport: { width: 1100, height: 640 } }],
  ['phone', { colorScheme: 'light', viewport: { width: 360, height: 720 } }],
];

test('the page has its looks', async ({ skip }) => {
  skip(missing !== undefined, missing);
  await createProducer(broker, queue('payments')).send({ order: 'A-1', total: 1 });
  const metrics = createMetrics();
  const worker = createServer(metrics.handler).listen(0, '127.0.0.1');
  await once(worker, 'listening');
  const metricsUrl = `http://127.0.0.1:${(worker.address() as AddressInfo).port}/metrics`;
  const served = await serve(['-u', `local:${folder}`, '--metrics', metricsUrl]);
  // It sees how the dead letters come.
  const watching = await openTab(browser, served.address);
  const close = await openShop();
  await watching.page.locator('td[data-c=dead] [data-s=bad]').first().waitFor();
  await watching.page.locator('.strip div:has(dt:text-is("failed /s")) [data-s=bad]').waitFor();
  await watching.page.context().close();
  for (const [look, options] of LOOKS) {
    const { page, errors } = await openTab(browser, served.address, {
      locale: 'en-GB',
      timezoneId: 'Europe/Berlin',
      ...options,
    });
    const picture = (name: string) => page.screenshot({ path: join(pictures, `page-${name}-${look}.png`) });
    await page.locator('th:has-text("payments")').waitFor();
    await picture('now');
    await fits(page);
    await page.goto(`${served.origin}/q/mails`);
    await page.locator('[data-chart=amounts] canvas').waitFor();
    await picture('queue');
    await fits(page);
    await page.locator('summary').first().click();
    await page.goto(`${served.origin}/q/payments/dead`);
    await picture('dead');
    await fits(page);
    await page.locator('button[data-ask]').first().click();
    await page.locator('dialog[open]').waitFor();
    await picture('replay');
    await page.keyboard.press('Escape');
    await page.locator('tbody th a').first().click();
    await page.locator('[data-id]').first().waitFor();
    await picture('group');
    await fits(page);
    await page.locator('tbody th a').first().click();
    await page.locator('h2:has-text("Body")').waitFor();
    await picture('message');
    await fits(page);
    for (const view of ['dead', 'workers', 'schedules', 'log']) {
      await page.goto(`${served.origin}/${view}`);
      await picture(`all-${view}`);
      await fits(page);
    }
    expect(errors).toEqual([]);
    await page.context().close();
  }
  await close();
  metrics.stop();
  worker.closeAllConnections();
  worker.close();
});

/** Nothing is cut at the right, on a phone neither. */
async function fits(page: Page): Promise<void> {
  const [wide, room] = (await page.evaluate('[document.documentElement.scrollWidth, innerWidth]')) as [
    number,
    number,
  ];
  expect(wide, page.url()).toBeLessThanOrEqual(room);
}
