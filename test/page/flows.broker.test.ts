import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/broker.js';
import { createProducer, defineQueue } from '../../src/index.js';
import { queueNames } from '../cli/support/queues.js';
import { connect } from '../support/connect.js';
import { eventually } from '../support/eventually.js';
import { anyValue } from './any-value.js';
import { browserOfFile, type Tab } from './browser.js';
import { agree, failing, places, ready, SCRIPT } from './operated.js';
import type { Served } from './served.js';

const nextQueue = queueNames('page');
const folder = mkdtempSync(join(tmpdir(), 'millrace-page-flows-'));
const { openTab, serveTab } = browserOfFile();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(places(folder))('what an operator does on the page %s', (where, url, flags) => {
  const isLocal = where === 'in a folder';
  let broker: Backend;
  let served: Served;
  let tab: Tab;
  let page: Page;

  beforeAll(async () => {
    broker = await connect(url());
  });
  beforeEach(async () => {
    if (isLocal) await broker.declare(defineQueue('any', anyValue).spec);
    const opened = await serveTab(['-u', url(), ...flags]);
    ({ served, tab } = opened);
    page = tab.page;
    return opened.close;
  });
  afterAll(() => broker?.close());

  const open = (target: Page, queue: string, path = '') =>
    target.goto(`${served.origin}/q/${encodeURIComponent(queue)}${path}`);

  test('dead letters are grouped by why they failed, and a message is shown as what it is', async () => {
    const queue = await failing(broker, nextQueue(), 5, 2);
    await open(page, queue, '/dead');
    const rows = await page.locator('tbody tr').allInnerTexts();
    expect(rows.map((row) => row.split(/\s+/, 2).join(' '))).toEqual(['5 failed', '2 rejected']);
    expect(rows[0]).toContain("no answer within # ms from '…'");
    // The text of a script, which did not run.
    expect(rows[1]).toContain('<script>');
    await page.locator('tbody tr a').nth(1).click();
    await page.locator('tbody tr').first().waitFor();
    expect(await page.locator('[data-id]').count()).toBe(2);
    await page.locator('tbody th a').first().click();
    await page.locator('h1:has-text("m-5")').waitFor();
    const text = await page.locator('main').innerText();
    for (const part of [
      'no such customer <script>',
      'application/json',
      '"n": 5',
      'onerror',
      `dlq replay m-5`,
    ]) {
      expect(text).toContain(part);
    }
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.locator('a[download]').first().click(),
    ]);
    expect(JSON.parse(await readFile(await download.path(), 'utf8'))).toEqual({ n: 5, note: SCRIPT });
    expect(await page.evaluate('window.attacked')).toBeUndefined();
    expect(tab.errors).toEqual([]);
    expect(await ready(broker, `${queue}.dead`)).toBe(7);
  });

  test('one is replayed, those that are ticked are dropped, and a group goes to another queue', async () => {
    const queue = await failing(broker, nextQueue(), 4, 3);
    const other = nextQueue();
    await broker.declare(defineQueue(other, anyValue).spec);
    await open(page, queue, '/dead/message?id=m-0');
    await page.keyboard.press('r');
    await page.locator(`dialog[open]:has-text("Replay 1 dead letter to '${queue}'?")`).waitFor();
    await page.keyboard.press('Escape');
    expect(await agree(page, 'Replay…')).toContain('replayed 1 message');
    expect(await ready(broker, queue)).toBe(1);
    await open(page, queue, '/dead?group=all');
    await page.locator('[data-id]').nth(0).check();
    await page.locator('[data-id]').nth(1).check();
    expect(await agree(page, 'Drop ticked…')).toContain('dropped 2 messages for good');
    await eventually(async () => (await ready(broker, `${queue}.dead`)) === 4);
    await open(page, queue, '/dead');
    await page.locator('tbody tr:has-text("rejected") a').click();
    const text = await agree(page, 'Replay 3…', { to: other });
    expect(text).toContain(`replayed 3 messages to '${other}'`);
    expect(await ready(broker, other)).toBe(3);
    await eventually(async () => (await ready(broker, `${queue}.dead`)) === 1);
    // Each of them is in the log, and on standard error.
    await page.goto(`${served.origin}/log`);
    expect(await page.locator('tbody tr').count()).toBe(3);
    await served.process.said('dropped 2 messages for good');
  });

  test('two tabs that replay the same at once send each message once', async () => {
    const queue = await failing(broker, nextQueue(), 10, 0);
    const second = await openTab(served.address);
    await Promise.all([open(page, queue, '/dead'), open(second.page, queue, '/dead')]);
    const texts = await Promise.all([agree(page, 'Replay 10…'), agree(second.page, 'Replay 10…')]);
    expect(texts.filter((text) => text.includes('replayed 10 messages'))).toHaveLength(1);
    expect(texts.filter((text) => text.includes('10 messages were no longer there'))).toHaveLength(1);
    expect(await ready(broker, queue)).toBe(10);
    expect(await ready(broker, `${queue}.dead`)).toBe(0);
    await second.page.context().close();
  });

  test('how a replay ended is shown although the stream tells it before the answer comes', async () => {
    const queue = await failing(broker, nextQueue(), 2, 0);
    await open(page, queue, '/dead');
    await page.route('**/actions', async (route) => {
      const response = await route.fetch();
      await served.process.said(`'${queue}'`);
      // Long enough for what was pushed to arrive; if it does not, nothing is tried here, and nothing fails.
      await delay(500);
      await route.fulfill({ response });
    });
    expect(await agree(page, 'Replay 2…')).toContain('replayed 2 messages');
  });

  test('a slow replay is stopped, and loses nothing', async () => {
    const queue = await failing(broker, nextQueue(), 10, 0);
    await open(page, queue, '/dead');
    await page.locator('button[data-ask]:has-text("Replay 10…")').click();
    await page.locator('dialog[open] input[name=rate]').fill('0.1');
    await page.locator('dialog[open] button[type=submit]').click();
    await page.locator('.job >> text=/[1-9] of 10/').waitFor();
    await page.locator('.job [data-stop]').click();
    const text = await page.locator('.job[data-s=warn] p').innerText();
    expect(text).toMatch(/stopped; [1-9] of 10 were done, the others stay/);
    await eventually(
      async () => (await ready(broker, queue)) + (await ready(broker, `${queue}.dead`)) === 10,
    );
    expect(await ready(broker, queue)).toBeLessThan(10);
  });

  test('ready messages are looked at, moved and purged', async () => {
    const [queue, other] = [nextQueue(), nextQueue()];
    const producer = createProducer(broker, defineQueue(queue, anyValue));
    await broker.declare(defineQueue(other, anyValue).spec);
    for (let n = 0; n < 4; n++) await producer.send({ n, note: SCRIPT }, { id: `m-${n}` });
    await open(page, queue, isLocal ? '' : '?look=1');
    await page.locator('summary:has-text("m-0")').click();
    expect(await page.locator('details[open] pre').first().innerText()).toContain('<script>');
    // RabbitMQ's lists are some seconds late.
    await eventually(async () => {
      await open(page, queue);
      return (
        (await page.locator('button:has-text("Move")').getAttribute('data-ask'))?.includes('4 ready') ?? false
      );
    });
    expect(await agree(page, 'Move…', { to: other })).toContain(`moved 4 messages to '${other}'`);
    expect(await ready(broker, other)).toBe(4);
    await eventually(async () => (await page.goto(`${served.origin}/q/${other}`))?.status() === 200);
    expect(await agree(page, 'Purge…')).toContain('removed 4 ready messages');
    expect(await ready(broker, other)).toBe(0);
    expect(await page.evaluate('window.attacked')).toBeUndefined();
    expect(tab.errors).toEqual([]);
  });

  test('a queue is paused and resumed where the backend can do it', async () => {
    const queue = nextQueue();
    await createProducer(broker, defineQueue(queue, anyValue)).send({ n: 1 });
    await open(page, queue);
    if (!isLocal) {
      await page.locator("text=RabbitMQ can't pause a queue").waitFor();
      return;
    }
    expect(await agree(page, 'Pause')).toContain('paused');
    expect((await broker.operator?.queue(queue))?.paused).toBe(true);
    await page.locator('h1:has-text("paused")').waitFor();
    expect(await agree(page, 'Resume')).toContain('delivered again');
    expect((await broker.operator?.queue(queue))?.paused).toBe(false);
  });

  test('a queue may have any name', async () => {
    for (const name of [
      `${nextQueue()} ${SCRIPT}`,
      `${nextQueue()}/../x?y#z%00&"'`,
      `${nextQueue()} \u202eevil`,
    ]) {
      await createProducer(broker, defineQueue(name, anyValue, { deadLetter: false })).send({ n: 1 });
      await page.goto(`${served.origin}/q/${encodeURIComponent(name)}`);
      await page.locator('h1').waitFor();
      expect(await agree(page, 'Purge…')).toContain('removed 1 ready message');
      expect(await ready(broker, name)).toBe(0);
      await broker.remove(name);
    }
    expect(await page.evaluate('window.attacked')).toBeUndefined();
    expect(tab.errors).toEqual([]);
  });
});
