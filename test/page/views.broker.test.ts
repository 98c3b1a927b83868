import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/broker.js';
import { Deferred } from '../../src/common/waiting/waiting.js';
import { createConsumer, createProducer, defineQueue } from '../../src/index.js';
import { queueNames } from '../cli/support/queues.js';
import { Millrace } from '../cli/support/spawn-millrace.js';
import { connect } from '../support/connect.js';
import { eventually } from '../support/eventually.js';
import { anyValue } from './any-value.js';
import { browserOfFile, type Tab } from './browser.js';
import { agree, failing, places, ready, SCRIPT } from './operated.js';
import type { Served } from './served.js';

const nextQueue = queueNames('page-views');
const folder = mkdtempSync(join(tmpdir(), 'millrace-page-views-'));
const { serveTab } = browserOfFile();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(places(folder))('what the page shows %s', (where, url, flags) => {
  const isLocal = where === 'in a folder';
  let broker: Backend;
  let served: Served;
  let tab: Tab;
  let page: Page;

  beforeAll(async () => {
    broker = await connect(url());
    // Its schedules have a name of their own, so that others of the same folder or broker are left alone.
    prefix = nextQueue();
  });
  beforeEach(async () => {
    if (isLocal) await broker.declare(defineQueue('any', anyValue).spec);
    const schedules = fileURLToPath(new URL('../cli/commands/schedule/schedules.mjs', import.meta.url));
    const opened = await serveTab(['-u', url(), ...flags, '--schedules', schedules], { TEST_PREFIX: prefix });
    ({ served, tab } = opened);
    page = tab.page;
    return opened.close;
  });
  afterAll(() => broker?.close());
  let prefix = '';

  const open = (path: string) => page.goto(`${served.origin}${path}`);
  const part = (queue: string, path = '') => `/q/${encodeURIComponent(queue)}${path}`;

  test('the schedules of a module, with their times and queues', async () => {
    await open('/schedules');
    const row = page.locator(`tr:has(th:text-is("${prefix}-nightly"))`);
    const text = await row.innerText();
    expect(text).toContain('0 3 29 2 *');
    expect(text).toContain('29 Feb');
    expect(text).toContain(`${prefix}-reports`);
    expect(await row.locator('a').getAttribute('href')).toBe(part(`${prefix}-reports`));
    expect(await page.locator(`tr:has(th:text-is("${prefix}-often"))`).count()).toBe(1);
    expect(tab.errors).toEqual([]);
  });

  test('the workers, with the messages that they have', async () => {
    const queue = nextQueue();
    await createProducer(broker, defineQueue(queue, anyValue)).send('one');
    const worker = await connect(url());
    const finish = new Deferred();
    const consumer = createConsumer(worker, defineQueue(queue, anyValue), () => finish.promise);
    await consumer.start();
    // RabbitMQ's lists are some seconds late.
    const text = await eventually(async () => {
      await open(`/workers?f=${queue}`);
      const rows = page.locator(`tr:has(th a:text-is("${queue}"))`);
      if ((await rows.count()) !== 1) return false;
      return (await rows.locator('[data-l="in flight"]').innerText()) === '1' && rows.innerText();
    });
    expect(text).toContain(`process ${process.pid}`);
    expect(text).toContain(hostname());
    await open(part(queue, '?tab=unsettled'));
    expect(await page.locator('main').innerText()).toContain(`process ${process.pid}`);
    if (isLocal) expect(await page.locator('[title^=since]:has-text("held for")').count()).toBe(1);
    finish.resolve();
    await consumer.stop();
    await worker.close();
    await eventually(async () => {
      await open(`/workers?f=${queue}`);
      return (await page.locator('text=No consumers').count()) === 1;
    });
  });

  test('a message that waits for its time, and until when, where the backend knows it', async () => {
    const queue = nextQueue();
    const due = new Date(Date.now() + 3_600_000);
    await createProducer(broker, defineQueue(queue, anyValue)).send('later', { id: 'm-1', at: due });
    await eventually(async () => (await open(part(queue, '?tab=delayed')))?.status() === 200);
    if (!isLocal) {
      await page.locator('.notice:has-text("RabbitMQ can\'t show these messages")').waitFor();
      return;
    }
    const shown = await page.locator('summary time').getAttribute('datetime');
    expect(Math.abs(new Date(shown ?? 0).getTime() - due.getTime())).toBeLessThan(1000);
  });

  test('bytes as a hex dump, a large body cut, and the whole of it as a file', async () => {
    const name = nextQueue();
    const queue = defineQueue(name, anyValue);
    await broker.declare(queue.spec);
    const large = JSON.stringify({ note: `${SCRIPT} ${'é'.repeat(100_000)}`, end: 'the end' });
    const bodies = [
      ['bytes', 'application/octet-stream', Uint8Array.of(0xff, 0xfe, 0, 0x41, 0x3c, 0x62, 0x3e)],
      ['large', 'application/json', large],
    ] as const;
    for (const [id, contentType, body] of bodies)
      await broker.publish({ exchange: '', routingKey: name }, { id, contentType, headers: {}, body });
    const consumer = createConsumer(
      broker,
      queue,
      () => {
        throw new Error('no');
      },
      { retry: { delaysMs: [] }, observe: () => {} },
    );
    await consumer.start();
    await eventually(async () => (await ready(broker, `${name}.dead`)) === 2);
    await consumer.stop();
    await open(part(name, '/dead/message?id=bytes'));
    expect(await page.locator('pre.body').last().innerText()).toMatch(
      /^000000 {2}ff fe 00 41 3c 62 3e +\.\.\.A<b>/,
    );
    await open(part(name, '/dead/message?id=large'));
    const text = await page.locator('main').innerText();
    expect(text).not.toContain('the end');
    expect(text).toContain('the first 64');
    // How its attempt failed.
    expect(await page.locator('h3:text-is("Stack") + pre').innerText()).toMatch(/^Error: no\n {4}at /);
    const row = page.locator('h3:text-is("Attempts") + table tbody tr');
    expect(await row.locator('td').allInnerTexts()).toEqual(['1', `${hostname()}, ${process.pid}`, 'no']);
    expect(await row.locator('th time').getAttribute('datetime')).toMatch(/^\d{4}-.*Z$/);
    expect(text).not.toContain('x-millrace-stack');
    expect(await page.locator('pre.body').last().innerText()).toContain('<script>');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.locator('a[download]').first().click(),
    ]);
    expect(await readFile(await download.path(), 'utf8')).toBe(large);
    expect(await page.evaluate('window.attacked')).toBeUndefined();
    expect(tab.errors).toEqual([]);
  });

  test('the queues with dead letters, and from there the reasons', async () => {
    const queue = await failing(broker, nextQueue(), 3, 1);
    const link = page.locator(`section:has(h2 a:text-is("${queue}"))`);
    await eventually(async () => {
      await open('/dead');
      return (await link.count()) === 1 && (await link.innerText()).includes('4 dead');
    });
    if (isLocal)
      expect(await link.locator('li').first().innerText()).toContain('3 failed: no answer within #');
    await link.locator('h2 a').click();
    await page.locator('tbody tr').first().waitFor();
    expect(await page.locator('tbody tr').count()).toBe(2);
  });

  test('by the keyboard alone: to a group, tick two, replay them, and read what became of each', async () => {
    const queue = await failing(broker, nextQueue(), 3, 2);
    await open(part(queue, '/dead'));
    const { keyboard } = page;
    await keyboard.press('j');
    await keyboard.press('Enter');
    await page.locator('[data-id]').nth(2).waitFor();
    // The link was followed to a new document, whose scripts run after its rows are there.
    await page.locator('html.js').waitFor();
    await keyboard.press('j');
    await keyboard.press('x');
    await keyboard.press('j');
    await keyboard.press('x');
    expect(await page.locator('[data-id]:checked').count()).toBe(2);
    const dialog = page.locator('dialog[open]');
    // Nothing can be paused here.
    await keyboard.press('p');
    expect(await dialog.count()).toBe(0);
    await keyboard.press('r');
    await dialog.waitFor();
    // The question says what was entered; nothing behind the dialog can be reached.
    await keyboard.press('Tab');
    await keyboard.type('20');
    expect(await dialog.locator('h2').innerText()).toBe(
      `Replay 2 ticked dead letters to '${queue}', at most 20 a second?`,
    );
    for (let n = 0; n < 12; n++) {
      await keyboard.press('Tab');
      const inside =
        "document.activeElement.closest('dialog') !== null || document.activeElement === document.body";
      expect(await page.evaluate(inside)).toBe(true);
    }
    await dialog.locator('button[type=submit]').focus();
    await keyboard.press('Enter');
    const job = page.locator('.job[data-s=ok]');
    await job.waitFor();
    const [download] = await Promise.all([page.waitForEvent('download'), job.locator('a').click()]);
    const outcomes = (await readFile(await download.path(), 'utf8')).trim().split('\n');
    expect(outcomes.map((line) => JSON.parse(line) as unknown)).toEqual(
      ['m-0', 'm-1'].map((id) => ({ id, outcome: 'replayed', detail: `to '${queue}'` })),
    );
    expect(await ready(broker, queue)).toBe(2);
  });

  test('the target that was entered stands in the question', async () => {
    const queue = await failing(broker, nextQueue(), 1, 0);
    await open(part(queue, '/dead'));
    await page.locator('button:has-text("Replay 1…")').click();
    await page.locator('dialog[open] input[name=to]').fill('other <b>');
    expect(await page.locator('dialog[open] h2').innerText()).toBe("Replay 1 dead letter to 'other <b>'?");
    await page.locator('dialog[open] input[name=to]').fill('');
    expect(await page.locator('dialog[open] h2').innerText()).toBe(`Replay 1 dead letter to '${queue}'?`);
  });

  test('two operators, one in a terminal, who replay the same, send each message once', async () => {
    const queue = await failing(broker, nextQueue(), 20, 0);
    await open(part(queue, '/dead'));
    const other = new Millrace(['dlq', 'replay', '-q', queue, '-u', url()]);
    const text = await agree(page, 'Replay 20…');
    await other.exit();
    expect(text).toMatch(/replayed \d+ messages? to/);
    expect(await ready(broker, queue)).toBe(20);
    expect(await ready(broker, `${queue}.dead`)).toBe(0);
  });

  test('a queue with a name as long as can be, of signs that are none of a URL', async () => {
    const name = `${nextQueue()}/%2f..?#&"'🦀`;
    const long = name.padEnd(246, 'x');
    await createProducer(broker, defineQueue(long, anyValue, { deadLetter: false })).send(1);
    await open(`/q/${encodeURIComponent(long)}/dead/message?id=x`);
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0);
    await eventually(async () => {
      await open('/?all=1');
      return (await page.locator(`th a:text-is(${JSON.stringify(long)})`).count()) === 1;
    });
    await page.locator(`th a:text-is(${JSON.stringify(long)})`).click();
    await page.waitForURL((at) => at.pathname.startsWith('/q/'));
    expect(await page.locator('h1').innerText()).toContain(long);
    expect(await agree(page, 'Purge…')).toContain('removed 1 ready message');
    expect(await ready(broker, long)).toBe(0);
    await broker.remove(long);
    expect(tab.errors).toEqual([]);
  });
});
