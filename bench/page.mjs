/**
 * How fast the first view of `millrace ui` is, in Debian's Chromium: of a folder with 1,000 queues, in a new browser
 * profile (which is signed in first) and in one that has seen it, beside an empty page in the same browser.
 *
 *     npm run build && node bench/page.mjs [--folder FOLDER] [--rounds 10] [--against OTHER/dist]
 *
 * `--against` measures another build in the same rounds: the speed of a machine changes from minute to minute.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { z } from 'zod';
import { connect, createProducer, defineQueue } from './millrace.mjs';
import { median } from './statistics.mjs';

const QUEUES = 1000;
/** Between two views: the first one has ended all of its work. */
const REST_MS = 700;
const VISITS_OF_PROFILE = 3;

/** Runs in the page. A file that the browser has kept counts neither as a request nor as bytes. */
const READ = `(() => {
  const [navigation] = performance.getEntriesByType('navigation');
  const files = performance.getEntriesByType('resource').filter(({ name }) => !name.includes('/events'));
  const loaded = [navigation, ...files].filter(({ transferSize }) => transferSize > 0);
  return {
    response: navigation.responseStart,
    read: navigation.domInteractive,
    content: navigation.domContentLoadedEventEnd,
    paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
    requests: loaded.length,
    bytes: loaded.reduce((sum, { transferSize }) => sum + transferSize, 0),
  };
})()`;

const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    rounds: { type: 'string', default: '10' },
    against: { type: 'string' },
  },
});
const made = values.folder === undefined ? mkdtempSync(join(tmpdir(), 'millrace-bench-page-')) : undefined;
const folder = resolve(values.folder ?? made);
const ended = [];

try {
  if (made !== undefined) await fill(made);
  const pages = [
    ['empty page', await serveEmpty()],
    ['this build', await serve(fileURLToPath(new URL('../dist', import.meta.url)))],
    ...(values.against === undefined ? [] : [[values.against, await serve(resolve(values.against))]]),
  ];
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  ended.push(() => browser.close());
  const visits = new Map();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, address] of pages) {
      for (const [profile, visit] of await visitsOf(browser, address)) {
        const key = `${name}, ${profile} profile`;
        visits.set(key, [...(visits.get(key) ?? []), visit]);
      }
    }
  }
  print(visits);
} finally {
  for (const end of ended.reverse()) await end();
  if (made !== undefined) rmSync(made, { recursive: true, force: true });
}

async function fill(path) {
  const broker = await connect(`local:${path}`);
  for (let n = 0; n < QUEUES; n++)
    await createProducer(broker, defineQueue(`queue-${n}`, z.unknown())).send({ n });
  await broker.close();
}

/** Resolves to the address that signs in. */
async function serve(dist) {
  const args = [join(dist, 'cli/bin.js'), 'ui', '--port', '0', '-u', `local:${folder}`];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  ended.push(() => child.kill());
  const [line] = await once(child.stdout, 'data');
  return String(line).trim();
}

/** A page with a heading, to which another leads as the sign-in does. */
async function serveEmpty() {
  const server = createServer(({ url }, response) => {
    response.setHeader('content-type', 'text/html');
    const more = url === '/' ? '' : '<meta http-equiv="refresh" content="0;url=/">';
    response.end(`<!doctype html><title>empty</title>${more}<h1>Hello</h1>`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ended.push(() => server.close());
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return `http://127.0.0.1:${port}/?token=none`;
}

/** One visit of a new profile, and some more of it, later. */
async function visitsOf(browser, address) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 } });
  const page = await context.newPage();
  const visits = [];
  await page.goto(address);
  await page.waitForURL((url) => !url.search.includes('token'));
  await page.waitForTimeout(REST_MS);
  visits.push(['new', await page.evaluate(READ)]);
  for (let n = 0; n < VISITS_OF_PROFILE; n++) {
    await page.goto(`${new URL(address).origin}/`);
    await page.waitForTimeout(REST_MS);
    visits.push(['known', await page.evaluate(READ)]);
  }
  await context.close();
  return visits;
}

function print(visits) {
  console.log('Milliseconds: least/median/most');
  console.table(
    Object.fromEntries(
      [...visits].map(([name, runs]) => {
        const of = (key) => runs.map((run) => Math.round(run[key])).sort((a, b) => a - b);
        const spread = (key) => `${of(key)[0]}/${Math.round(median(of(key)))}/${of(key).at(-1)}`;
        const row = {
          'response starts': spread('response'),
          'document read': spread('read'),
          DOMContentLoaded: spread('content'),
          'first paint': spread('paint'),
          requests: median(of('requests')),
          bytes: median(of('bytes')),
        };
        return [name, row];
      }),
    ),
  );
}
