/** A real browser for the tests of the page: Debian's Chromium. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { missingPackage } from '../support/debian-package.js';
import { type Served, serve } from './served.js';

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

/** `millrace ui`, and a tab that shows its page. */
export interface ServedTab {
  readonly served: Served;
  readonly tab: Tab;
  /** Ends both. */
  close(): Promise<void>;
}

/** Opens tabs in the browser of a file's tests. */
interface Tabs {
  /** As the function of that name. */
  openTab(address: string, options?: BrowserContextOptions): Promise<Tab>;
  serveTab(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<ServedTab>;
}

/** A browser that lives as long as the tests of a file, which are skipped where there is none. */
export function browserOfFile(): Tabs {
  let missing: string | undefined;
  let browser: Browser;
  beforeAll(async () => {
    missing = await missingBrowser();
    if (missing === undefined) browser = await openBrowser();
  }, INSTALL_LIMIT_MS);
  beforeEach(({ skip }) => skip(missing !== undefined, missing));
  afterAll(() => browser?.close());
  const open = (address: string, options?: BrowserContextOptions) => openTab(browser, address, options);
  return {
    openTab: open,
    async serveTab(args, env) {
      const served = await serve(args, env);
      const tab = await open(served.address);
      const close = async () => {
        await tab.page.context().close();
        served.process.child.kill('SIGTERM');
        await served.process.exit();
      };
      return { served, tab, close };
    },
  };
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
