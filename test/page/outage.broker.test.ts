import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createProducer, defineQueue } from '../../src/index.js';
import { TcpProxy } from '../../src/testing/tcp-proxy.js';
import { queueNames } from '../cli/queues.js';
import { amqpUrl } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { anyValue } from './any-value.js';
import { INSTALL_LIMIT_MS, missingBrowser, openBrowser, openTab } from './browser.js';
import { serve } from './served.js';

const nextQueue = queueNames('page-outage');
let missing: string | undefined;
let browser: Browser;

beforeAll(async () => {
  missing = await missingBrowser();
  if (missing === undefined) browser = await openBrowser();
}, INSTALL_LIMIT_MS);
afterAll(() => browser?.close());

test('a broker that goes away is said to be away, and the page goes on when it is back', async ({ skip }) => {
  skip(missing !== undefined, missing);
  const queue = nextQueue();
  const broker = await connect(amqpUrl());
  const producer = createProducer(broker, defineQueue(queue, anyValue, { deadLetter: false }));
  await producer.send(1);
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  // Nothing is there: the page has what AMQP tells of the queues that were named.
  const none = await serve([
    '-u',
    proxy.url(amqpUrl()),
    '--management-url',
    'http://127.0.0.1:9',
    '-q',
    queue,
  ]);
  const { page } = await openTab(browser, none.address);
  const ready = page.locator('td[data-c=ready]');
  await expect.poll(() => ready.innerText()).toBe('1');
  expect(await page.locator('#gone').isHidden()).toBe(true);
  await proxy.refuse(true);
  proxy.cut();
  await page.locator('#gone:has-text("The broker has been unavailable")').waitFor();
  expect(await page.locator('body').getAttribute('class')).toContain('stale');
  await producer.send(2);
  await proxy.refuse(false);
  await page.locator('#gone').waitFor({ state: 'hidden' });
  await expect.poll(() => ready.innerText(), { timeout: 60_000 }).toBe('2');
  await page.context().close();
  await broker.close();
  await proxy.close();
});

test('RabbitMQ without its management API: the page says what it takes, and which queues may be named', async ({
  skip,
}) => {
  skip(missing !== undefined, missing);
  const served = await serve(['-u', amqpUrl(), '--management-url', 'http://127.0.0.1:9']);
  const { page } = await openTab(browser, served.address);
  const text = await page.locator('.notice').first().innerText();
  expect(text).toContain('management');
  expect(text).toContain('millrace ui -q');
  await expect.poll(() => page.locator('#state').innerText()).toBe('connected');
  await page.context().close();
});
