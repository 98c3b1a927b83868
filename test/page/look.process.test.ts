/** What can be measured of the page's look and weight: contrast, widths, and what a tab holds that is open for long. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Backend } from '../../src/broker.js';
import { createProducer, defineQueue } from '../../src/index.js';
import { connect } from '../support/connect.js';
import { anyValue } from './any-value.js';
import { browserOfFile } from './browser.js';
import { failing } from './operated.js';
import { type Served, serve } from './served.js';

const { openTab } = browserOfFile();
let broker: Backend;
let served: Served;
const folder = mkdtempSync(join(tmpdir(), 'millrace-page-look-'));

beforeAll(async () => {
  broker = await connect(`local:${folder}`);
  await failing(broker, 'payments', 3, 1);
  await createProducer(broker, defineQueue('orders', anyValue)).send({ n: 1 }, { id: 'o-1' });
});
beforeEach(async () => {
  served = await serve(['-u', `local:${folder}`]);
});
afterAll(async () => {
  await broker?.close();
  rmSync(folder, { recursive: true, force: true });
});

/**
 * The texts of less contrast than WCAG 2 AA demands: 4.5, or 3 from 24 px on. Of each visible text, its colour against the
 * nearest background behind it.
 */
const LOW_CONTRAST = `(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if ((color[3] ?? 1) === 1) return color;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255];
  };
  const found = [];
  let seen = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (texts.currentNode.data.trim() === '' || element.checkVisibility({ visibilityProperty: true }) === false) continue;
    const style = getComputedStyle(element);
    const [one, other] = [luminance(parse(style.color)), luminance(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    seen++;
    if (ratio < (Number.parseFloat(style.fontSize) >= 24 ? 3 : 4.5))
      found.push(texts.currentNode.data.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
  }
  return { seen, found };
})()`;

async function expectContrast(page: Page): Promise<void> {
  const { seen, found } = (await page.evaluate(LOW_CONTRAST)) as { seen: number; found: string[] };
  expect(seen).toBeGreaterThan(5);
  expect(found, page.url()).toEqual([]);
}

test.each(['light', 'dark'] as const)('each text has enough contrast when it is %s', async (colorScheme) => {
  const { page } = await openTab(served.address, { colorScheme });
  for (const path of [
    '/',
    '/q/orders',
    '/q/payments/dead',
    '/q/payments/dead?group=all',
    '/dead',
    '/log',
    '/nothing',
  ]) {
    await page.goto(`${served.origin}${path}`);
    await page.locator('html.js').waitFor();
    await expectContrast(page);
  }
  await page.goto(`${served.origin}/q/payments/dead/message?id=m-3`);
  await expectContrast(page);
  await page.keyboard.press('d');
  await page.locator('dialog[open] button.danger').waitFor();
  await expectContrast(page);
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await page.locator('dialog[open] kbd').first().waitFor();
  await expectContrast(page);
  await page.keyboard.press('Escape');
  // The bar that says that the server has gone.
  served.process.child.kill('SIGKILL');
  await page.locator('#gone:not([hidden])').waitFor();
  await expectContrast(page);
  await page.context().close();
});

test('on a phone a queue is a card with the four numbers that matter, and buttons are within reach', async () => {
  const { page } = await openTab(served.address, { viewport: { width: 360, height: 720 } });
  const row = page.locator('tr:has(th a:text-is("payments"))');
  const shown = await row
    .locator('td:visible')
    .evaluateAll((cells) => cells.map((cell) => (cell as unknown as { dataset: { c: string } }).dataset.c));
  expect(shown.sort()).toEqual(['consumers', 'dead', 'oldest', 'ready']);
  await row.locator('td[data-c=dead] a').click();
  await page.locator('button:has-text("Replay 4…")').click();
  const box = await page.locator('dialog[open]').boundingBox();
  expect(box?.x).toBeGreaterThanOrEqual(0);
  expect((box?.x ?? 0) + (box?.width ?? 999)).toBeLessThanOrEqual(360);
  await page.context().close();
});

test('what a screen reader is told: tables with headings, and regions that speak politely', async () => {
  const { page } = await openTab(served.address);
  expect(await page.getByRole('navigation', { name: 'Views' }).count()).toBe(1);
  expect(await page.getByRole('main').count()).toBe(1);
  const table = page.getByRole('table', { name: 'Queues by attention' });
  expect(await table.getByRole('columnheader').count()).toBe(10);
  expect(await table.getByRole('rowheader').count()).toBe(2);
  expect(await page.locator('#toast').getAttribute('aria-live')).toBe('polite');
  expect(await page.locator('html').getAttribute('lang')).toBe('en');
  await page.goto(`${served.origin}/q/payments/dead`);
  await page.keyboard.press('r');
  await page.getByRole('dialog', { name: "Replay 4 dead letters to 'payments'?" }).waitFor();
  await page.keyboard.press('Escape');
  // A row that fails carries a word, not a colour alone.
  expect(await page.locator('tbody tr').first().innerText()).toContain('failed');
  await page.context().close();
});

test('times are those of the reader, with the zone named, and ages tell the exact time', async () => {
  const { page } = await openTab(served.address, { timezoneId: 'Asia/Tokyo' });
  const age = page.locator('tr:has(th a:text-is("orders")) td[data-c=oldest] [data-k]');
  expect(await age.getAttribute('title')).toMatch(/^since .*\d\d:\d\d:\d\d GMT\+9$/);
  await page.goto(`${served.origin}/q/payments/dead`);
  await page.locator('html.js').waitFor();
  const time = page.locator('tbody time').first();
  expect(await time.innerText()).toMatch(/\d\d:\d\d:\d\d GMT\+9$/);
  expect(await time.getAttribute('title')).toMatch(/Z$/);
  await page.context().close();
});

test('a tab that is open for long holds no more than one that was just opened', async () => {
  const { page } = await openTab(served.address);
  const session = await page.context().newCDPSession(page);
  const measure = async () => {
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = (await session.send('Performance.getMetrics')) as {
      metrics: { name: string; value: number }[];
    };
    const of = (name: string) => metrics.find((one) => one.name === name)?.value ?? Number.NaN;
    return { bytes: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners') };
  };
  await session.send('Performance.enable');
  await page.goto(`${served.origin}/q/orders`);
  await page.locator('[data-chart=amounts] canvas').waitFor();
  const refresh = async (times: number) => {
    for (let n = 0; n < times; n++) {
      // As "Read again" does: the view is replaced, and its charts and stream with it.
      await page.evaluate(`(() => {
        const link = document.createElement('a');
        link.dataset.refresh = '';
        link.href = '';
        const before = document.body.dataset.stream;
        document.querySelector('#main').append(link);
        link.click();
        return new Promise((resolve) => {
          const look = () => document.body.dataset.stream === before ? setTimeout(look, 5) : resolve();
          look();
        });
      })()`);
      await page.locator('[data-chart=amounts] canvas').waitFor();
    }
  };
  await refresh(10);
  const before = await measure();
  await refresh(60);
  const after = await measure();
  expect(after.bytes).toBeLessThan(50_000_000);
  // Nothing is left of the views that were replaced.
  expect(after.nodes).toBeLessThan(before.nodes * 1.5);
  expect(after.listeners).toBeLessThan(before.listeners * 1.5);
  await page.context().close();
});
