/**
 * What a tab of `millrace ui` holds that is open for a day, in Debian's Chromium: the updates of a day, sent as fast as
 * the browser takes them, to the list of queues and to a queue with its charts.
 *
 *     npm run build && node bench/tab.mjs [--samples 86400] [--charts 17280]
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { z } from 'zod';
import { createPage } from '../dist/page/index.js';
import { connect, createProducer, defineQueue } from './millrace.mjs';

const QUEUES = 50;
/** How often a page reads the data of its charts. */
const CHARTS_EVERY_MS = 5_000;

const { values } = parseArgs({
  options: {
    samples: { type: 'string', default: String(24 * 60 * 60) },
    charts: { type: 'string', default: String((24 * 60 * 60 * 1000) / CHARTS_EVERY_MS) },
  },
});
const samples = Number(values.samples);
const charts = Number(values.charts);

const broker = await connect('local:');
for (let n = 0; n < QUEUES; n++)
  await createProducer(broker, defineQueue(`queue-${n}`, z.unknown())).send({ n });
const page = createPage(broker, { token: false });
let chartsRead = 0;
const server = createServer((request, response) => {
  if (request.url?.startsWith('/events') && !isRealStream) return void sendDay(response);
  if (request.url?.includes('/chart')) chartsRead++;
  page(request, response);
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
const origin = `http://127.0.0.1:${port}`;
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });

let isRealStream = true;
/** Called when the browser has the last sample. */
let onSent = () => {};

try {
  const blank = await openBlank();
  print('an empty tab', await held(blank));
  await blank.page.close();
  const list = await open('/');
  print('list of queues, just opened', await held(list));
  isRealStream = false;
  const sent = new Promise((resolve) => {
    onSent = () => resolve(undefined);
  });
  await list.page.reload();
  await sent;
  await list.page.locator(`[data-k="0.ready"]:text-is("${samples}")`).waitFor({ timeout: 600_000 });
  print(`list of queues, after ${samples} samples`, await held(list));
  await list.page.close();

  isRealStream = true;
  const queue = await open('/q/queue-0');
  await queue.page.locator('[data-chart=amounts] canvas').waitFor();
  print('queue, just opened', await held(queue));
  const begun = chartsRead;
  while (chartsRead - begun < charts) await new Promise((resolve) => setTimeout(resolve, 100));
  print(`queue, after ${charts} updates of its charts`, await held(queue));
} finally {
  await browser.close();
  await page.close();
  server.closeAllConnections();
  server.close();
  await broker.close();
}

async function openBlank() {
  const tab = await browser.newPage();
  const session = await tab.context().newCDPSession(tab);
  await session.send('Performance.enable');
  return { page: tab, session };
}

async function open(path) {
  const { page: tab, session } = await openBlank();
  // The charts of five seconds, as soon as the last were drawn.
  await tab.addInitScript(`{
    const real = setInterval;
    window.setInterval = (work, ms) => real(work, ms === ${CHARTS_EVERY_MS} ? 10 : ms);
  }`);
  await tab.goto(origin + path);
  await tab.locator('#since:not(:empty)').waitFor();
  return { page: tab, session };
}

/** Figures that change every second in a fifth of the rows, as the server writes them. */
async function sendDay(response) {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const status = JSON.stringify({ state: 'connected', since: Date.now(), text: '' });
  for (let n = 1; n <= samples; n++) {
    const cells = { '0.ready': [String(n), '', ''], 'strip.ready': [String(n), '', ''] };
    for (let row = n % 5; row < QUEUES; row += 5) {
      const points = Array.from({ length: 60 }, (_, at) => `${Math.round(at * 1.7)},${(n * at) % 23}`);
      cells[`${row}.in`] = [(n / 10).toFixed(1), '', ''];
      cells[`${row}.why`] = n % 2 === 0 ? ['no consumer', 'warn', ''] : ['', '', ''];
      cells[`${row}.spark`] = [`M${points.join(' ')}`, '', ''];
      if (row > 0) cells[`${row}.ready`] = [String(n + row), '', `at ${n}`];
    }
    const text = `event: status\ndata: ${status}\n\nevent: cells\ndata: ${JSON.stringify(cells)}\n\n`;
    if (!response.write(text)) await once(response, 'drain');
  }
  onSent();
}

/** After garbage was collected. Its process holds more: what the developer tools have recorded, which drive it here. */
async function held({ session }) {
  await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await session.send('Performance.getMetrics');
  const of = (name) => metrics.find((one) => one.name === name)?.value ?? Number.NaN;
  return {
    heap: of('JSHeapUsedSize'),
    nodes: of('Nodes'),
    listeners: of('JSEventListeners'),
  };
}

function print(what, { heap, nodes, listeners }) {
  const mb = (/** @type {number} */ bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`${what}: heap ${mb(heap)}, ${nodes} nodes, ${listeners} listeners`);
}
