/** A real browser for the tests of the page: Debian's Chromium. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { missingPackage } from '../support/debian-package.js';

const EXECUTABLE = '/usr/bin/chromium';

/** Why there is no browser; undefined: there is one. */
export function missingBrowser(): Promise<string | undefined> {
  return missingPackage('chromium', async () => existsSync(EXECUTABLE));
}

/** Installing it takes a minute or two. */
export const INSTALL_LIMIT_MS = 300_000;

export function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox'], timeout: 120_000 });
}

/** What went wrong in a tab: errors of scripts, and what its Content-Security-Policy has refused. */
export interface Tab {
  readonly page: Page;
  readonly errors: readonly string[];
}

/** A tab that was let in by the address which `millrace ui` prints, in a browser profile of its own. */
export async function openTab(
  browser: Browser,
  address: string,
  options?: BrowserContextOptions,
): Promise<Tab> {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  page.on('dialog', (dialog) => {
    errors.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (line) => {
    if (/Content Security Policy|Refused/i.test(line.text())) errors.push(line.text());
  });
  await page.goto(address);
  await page.waitForURL((url) => !url.search.includes('token'));
  await page.locator('html.js').waitFor();
  return { page, errors };
}
