import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createConsumer, createProducer, deadLetters, defineQueue } from '../../src/index.js';
import { TcpProxy } from '../../src/testing/tcp-proxy.js';
import { queueNames } from '../cli/support/queues.js';
import { amqpUrl } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { eventually } from '../support/eventually.js';
import { anyValue } from './any-value.js';
import { browserOfFile } from './browser.js';
import { failing, ready } from './operated.js';
import { serve } from './served.js';

const nextQueue = queueNames('page-outage');
const { openTab } = browserOfFile();

test('an outage of the broker is shown, and the page continues afterwards', async () => {
  const queue = nextQueue();
  const broker = await connect(amqpUrl());
  const producer = createProducer(broker, defineQueue(queue, anyValue, { deadLetter: false }));
  await producer.send(1);
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  // There is no management API: the page shows what AMQP reports about the named queues.
  const none = await serve([
    '-u',
    proxy.url(amqpUrl()),
    '--management-url',
    'http://127.0.0.1:9',
    '-q',
    queue,
  ]);
  const { page } = await openTab(none.address);
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

test('a replay that the broker leaves loses nothing, and the page shows what it could not when it is back', async () => {
  const total = 60;
  const broker = await connect(amqpUrl());
  const queue = await failing(broker, nextQueue(), total, 0);
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  const flags = ['--management-url', 'http://127.0.0.1:9', '-q', queue];
  const served = await serve(['-u', proxy.url(amqpUrl()), ...flags]);
  const { page } = await openTab(served.address);
  await page.goto(`${served.origin}/q/${queue}/dead`);
  await page.locator(`button[data-ask]:has-text("Replay ${total}…")`).click();
  // So slowly that the link is cut in between, however slow the machine is.
  await page.locator('dialog[open] input[name=rate]').fill('1');
  await page.locator('dialog[open] button[type=submit]').click();
  await page.locator(`.job >> text=/[1-9][0-9]* of ${total}/`).waitFor();
  await proxy.refuse(true);
  proxy.cut();
  await page.locator('#gone:has-text("The broker has been unavailable")').waitFor();
  // Whatever is opened now is in the frame of the page, and says why.
  const second = await page.context().newPage();
  await second.goto(`${served.origin}/q/${queue}`);
  await second.locator('header nav a:text-is("Now")').waitFor();
  await second.locator('#main [data-until-back]').first().waitFor();
  await proxy.refuse(false);
  await page.locator('#gone').waitFor({ state: 'hidden' });
  await second.locator('#main [data-until-back]').waitFor({ state: 'detached' });
  // The replay goes on, or has ended early, or is done by now: its text says it, and it can be stopped.
  const ended = page.locator('.job[data-s=ok] p, .job[data-s=warn] p');
  await eventually(async () => {
    if ((await ended.count()) === 1) return true;
    await page
      .locator('.job [data-stop]')
      .click({ timeout: 1000 })
      .catch(() => {});
    return false;
  });
  expect(await ended.innerText()).toMatch(
    /: (replayed 60 messages|(stopped|ended early: .+); [0-9]+ of 60 were done, the others stay)/s,
  );
  await page.context().close();
  served.process.child.kill('SIGTERM');
  expect(await served.process.exit()).toBe(0);
  await proxy.close();
  // Those that were under way may be there twice; none is missing.
  const found = new Set<string>();
  await eventually(async () => {
    await deadLetters(broker, queue).replay();
    return (await ready(broker, `${queue}.dead`)) === 0;
  });
  const consumer = createConsumer(broker, defineQueue(queue, anyValue), (_, { id }) => void found.add(id));
  await consumer.start();
  await eventually(() => found.size === total);
  await consumer.stop();
  await broker.close();
});

test('a folder that is moved away while its page is open: the page says so, and continues when it is back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-page-removed-'));
  const broker = await connect(`local:${folder}`);
  await createProducer(broker, defineQueue('orders', anyValue)).send(1);
  await broker.close();
  const served = await serve(['-u', `local:${folder}`]);
  const { page } = await openTab(served.address);
  await page.locator('th a:text-is("orders")').waitFor();
  renameSync(folder, `${folder}-away`);
  await page.locator('#gone:has-text("was removed or replaced while it was open")').waitFor();
  await served.process.said(/was moved or removed/);
  renameSync(`${folder}-away`, folder);
  await page.locator('#gone').waitFor({ state: 'hidden' });
  await page.locator('td[data-c=ready] :text-is("1")').waitFor();
  expect(await page.locator('#state').innerText()).toBe('connected');
  rmSync(folder, { recursive: true, force: true });
  await page.locator('#gone:has-text("was removed or replaced while it was open")').waitFor();
  // A new store may be a backup that is not complete yet.
  const restored = await connect(`local:${folder}`);
  await restored.close();
  await page.goto(`${served.origin}/q/orders/dead`);
  await page.locator('header nav a:text-is("Now")').waitFor();
  expect(await page.locator('[role=alert]').first().innerText()).toContain('open the folder again');
  await page.context().close();
  rmSync(folder, { recursive: true, force: true });
});

test('RabbitMQ without its management API: the page says what it takes, and which queues may be named', async () => {
  const served = await serve(['-u', amqpUrl(), '--management-url', 'http://127.0.0.1:9']);
  const { page } = await openTab(served.address);
  const text = await page.locator('.notice').first().innerText();
  expect(text).toContain('management');
  expect(text).toContain('millrace ui -q');
  await expect.poll(() => page.locator('#state').innerText()).toBe('connected');
  await page.context().close();
});
