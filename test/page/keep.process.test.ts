/** What an operator has chosen survives that the view is shown again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Backend } from '../../src/broker.js';
import { connect } from '../support/connect.js';
import { INSTALL_LIMIT_MS, missingBrowser, openBrowser, openTab } from './browser.js';
import { agree, failing } from './operated.js';
import { type Served, serve } from './served.js';

let missing: string | undefined;
let browser: Browser;
let broker: Backend;
let served: Served;
let page: Page;
let errors: readonly string[];
const folder = mkdtempSync(join(tmpdir(), 'millrace-page-keep-'));

beforeAll(async () => {
  missing = await missingBrowser();
  if (missing !== undefined) return;
  browser = await openBrowser();
  broker = await connect(`local:${folder}`);
  await failing(broker, 'payments', 4, 0);
}, INSTALL_LIMIT_MS);
beforeEach(async ({ skip }) => {
  skip(missing !== undefined, missing);
  served = await serve(['-u', `local:${folder}`]);
  ({ page, errors } = await openTab(browser, served.address));
  await page.goto(`${served.origin}/q/payments/dead?group=all`);
  await page.locator('html.js').waitFor();
});
afterEach(async () => {
  expect(errors).toEqual([]);
  await page?.context().close();
});
afterAll(async () => {
  await browser?.close();
  await broker?.close();
  rmSync(folder, { recursive: true, force: true });
});

const ticked = () =>
  page
    .locator('[data-id]:checked')
    .evaluateAll((boxes) => boxes.map((box) => (box as unknown as { dataset: { id: string } }).dataset.id));
const focused = () =>
  page.evaluate(
    `[document.activeElement.tagName, document.activeElement.closest('[data-row]')?.dataset.row]`,
  );

/** As "Read again" does, without touching the focus. */
async function refresh(): Promise<void> {
  await page.evaluate(`(() => {
    const before = document.body.dataset.stream;
    document.querySelector('a[data-refresh]').dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
    return new Promise((resolve) => {
      const look = () => document.body.dataset.stream === before ? setTimeout(look, 5) : resolve();
      look();
    });
  })()`);
}

test('ticks and the row in focus, until they are acted on', async () => {
  const { keyboard } = page;
  for (const key of ['j', 'x', 'j', 'j', 'x']) await keyboard.press(key);
  expect(await ticked()).toEqual(['"m-0"', '"m-2"']);
  await refresh();
  expect(await ticked()).toEqual(['"m-0"', '"m-2"']);
  expect(await focused()).toEqual(['TR', 'm-2']);
  await keyboard.press('j');
  expect(await focused()).toEqual(['TR', 'm-3']);
  await page.locator('[data-row="m-1"] a').focus();
  await refresh();
  expect(await focused()).toEqual(['A', 'm-1']);
  await page.reload();
  await page.locator('html.js').waitFor();
  expect(await ticked()).toEqual(['"m-0"', '"m-2"']);
  // Another visit begins anew.
  await page.goto(`${served.origin}/q/payments/dead?group=all`);
  await page.locator('html.js').waitFor();
  expect(await ticked()).toEqual([]);
  // After a replay nothing is, and the focus is where the work goes on.
  await page.locator('[data-id="\\"m-1\\""]').focus();
  await page.keyboard.press('x');
  expect(await agree(page, 'Replay ticked…')).toContain('replayed 1 message');
  await page.locator('[data-row="m-1"]').waitFor({ state: 'detached' });
  expect(await ticked()).toEqual([]);
  await page.keyboard.press('Tab');
  expect(await page.evaluate(`document.activeElement.closest('main') !== null`)).toBe(true);
});

test('there may be more tabs than a browser has connections: each shows its view, and its figures', async () => {
  const tabs = await Promise.all(Array.from({ length: 8 }, () => page.context().newPage()));
  for (const tab of tabs) {
    await tab.goto(`${served.origin}/`);
    await tab.locator('html.js').waitFor();
    await tab.locator('#since:not(:empty)').waitFor();
  }
  const words = await Promise.all(tabs.map((tab) => tab.locator('#since').innerText()));
  expect(words.filter((text) => text.includes('updated every 5 s')).length).toBeGreaterThanOrEqual(4);
  expect(await tabs.at(-1)?.locator('#gone').isHidden()).toBe(true);
  // A hidden one has no stream, and is up to date when it is shown again.
  const state = (value: string) =>
    page.evaluate(`(() => {
      Object.defineProperty(document, 'visibilityState', { value: '${value}', configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    })()`);
  await Promise.all(tabs.map((tab) => tab.close()));
  await page.reload();
  await page.locator('#since:not(:empty)').waitFor();
  const closed = page.waitForEvent('requestfailed', (request) => request.url().includes('/events'));
  await state('hidden');
  await closed;
  const opened = page.waitForRequest((request) => request.url().includes('/events'));
  await state('visible');
  await opened;
  expect(await page.locator('#gone').isHidden()).toBe(true);
});
