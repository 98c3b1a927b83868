import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { operatorOf } from '../../src/common/backend-of.js';
import { connect, createConsumer, createProducer, defineQueue } from '../../src/index.js';
import { createMetrics } from '../../src/metrics/index.js';
import { handlerCountsOf, quantile } from '../../src/page/figures/handler-metrics.js';
import { History } from '../../src/page/figures/history.js';
import { Workers } from '../../src/page/figures/workers.js';
import { Links } from '../../src/page/html/links.js';
import { nowView } from '../../src/page/views/now.js';
import type { ViewContext } from '../../src/page/views/view.js';
import { eventually } from '../support/eventually.js';
import { anyValue } from './any-value.js';

const stop = new AbortController();
const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** The metrics of a worker with these many handlers that took up to a second, up to ten, and longer. */
function written(queue: string, [second, ten, longer]: readonly number[] = [], failed = false): string {
  const error = failed ? ',error_type="Error"' : '';
  const bucket = (le: string, value: number) =>
    `messaging_process_duration_seconds_bucket{messaging_system="millrace",messaging_destination_name="${queue}"${error},le="${le}"} ${value}`;
  const [a = 0, b = 0, c = 0] = [second, ten, longer];
  return `# TYPE messaging_process_duration_seconds histogram\n${bucket('1', a)}\n${bucket('10', a + b)}\n${bucket('+Inf', a + b + c)}\n`;
}

test('the metrics that a worker writes are read: how long handlers took, and which failed', async () => {
  const metrics = createMetrics();
  open.push(() => metrics.stop());
  const broker = await connect('local:');
  open.push(() => broker.close());
  const queue = defineQueue('a "quoted" \\ queue, {of} rates', anyValue);
  const producer = createProducer(broker, queue);
  for (let n = 0; n < 5; n++) await producer.send(n);
  let ended = 0;
  const consumer = createConsumer(
    broker,
    queue,
    (n) => {
      ended++;
      if (n === 4) throw new TypeError('no');
    },
    { retry: { delaysMs: [] }, observe: () => {} },
  );
  await consumer.start();
  await eventually(() => ended === 5);
  await consumer.stop();
  const counts = handlerCountsOf(await metrics.text(), 'millrace').get(queue.name);
  expect(counts?.failed).toBe(1);
  expect([...(counts?.durations.values() ?? [])].reduce((sum, count) => sum + count, 0)).toBe(5);
  expect(handlerCountsOf(await metrics.text(), 'rabbitmq').size).toBe(0);
});

test('text that is no metric, or broken, counts for nothing', () => {
  const name = 'messaging_process_duration_seconds_bucket';
  for (const text of [
    '',
    '<html>',
    `${name}{`,
    `${name}{} 5`,
    `${name}{le="x",messaging_destination_name="q"} 1`,
  ])
    expect([text, handlerCountsOf(text, 'millrace').size]).toEqual([text, 0]);
  const broken = `${name}{messaging_system="millrace",messaging_destination_name="__proto__",le="1"} NaN`;
  expect(handlerCountsOf(broken, 'millrace').size).toBe(0);
});

test.each([
  [[], 0.5, undefined],
  [[[1, 0]], 0.5, undefined],
  [[[1, 10]], 0.5, 0.5],
  [
    [
      [1, 10],
      [2, 10],
    ],
    0.75,
    1.5,
  ],
  [
    [
      [1, 10],
      [Number.POSITIVE_INFINITY, 10],
    ],
    0.99,
    1,
  ],
] as const)('of %j, the share %d took at most %s', (durations, share, seconds) => {
  expect(quantile(new Map(durations), share)).toBe(seconds);
});

test('figures of several workers add up over the last minute, also when one of them is started again', async () => {
  const texts = ['', ''];
  const sources = texts.map((_, index) => ({ text: async () => texts[index] ?? '' }));
  const workers = new Workers(sources, 'local:/tmp/x', stop.signal);
  const at = Date.now();
  texts[0] = written('orders', [100]);
  texts[1] = written('orders', [50], true);
  await workers.read(at);
  // What happened before is of unknown age.
  expect(workers.figures.get('orders')).toBeUndefined();
  texts[0] = written('orders', [109, 1]);
  texts[1] = written('orders', [60], true);
  await workers.read(at + 10_000);
  expect(workers.figures.get('orders')).toEqual({
    failed: 1,
    p50: expect.closeTo(0.526),
    p95: 1,
    p99: expect.closeTo(8.2),
  });
  // Its counts begin again.
  texts[1] = written('orders', [5], true);
  await workers.read(at + 20_000);
  expect(workers.figures.get('orders')?.failed).toBe(0.75);
  // After a minute without handlers there is nothing to say.
  for (const seconds of [40, 60, 90]) await workers.read(at + seconds * 1000);
  expect(workers.figures.get('orders')).toEqual({
    failed: 0,
    p50: undefined,
    p95: undefined,
    p99: undefined,
  });
});

test('one that does not respond is told by its URL, and takes nothing from the others', async () => {
  let status = 200;
  const server = createServer((_, response) => {
    response.writeHead(status).end(written('orders', [5]));
  }).listen(0, '127.0.0.1');
  open.push(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`;
  const workers = new Workers([url, 'http://127.0.0.1:9/metrics'], 'local:', stop.signal);
  const at = Date.now();
  await workers.read(at);
  expect(workers.errors).toEqual([expect.stringContaining('http://127.0.0.1:9/metrics: ')]);
  await workers.read(at + 5_000);
  expect(workers.figures.has('orders')).toBe(true);
  status = 500;
  await workers.read(at + 10_000);
  expect(workers.errors.join()).toContain(`${url}: it responded with HTTP 500`);
});

test('long and broken lines, too many queues and too many bounds count for nothing', () => {
  const name = 'messaging_process_duration_seconds_bucket';
  const labels = 'messaging_system="millrace",messaging_destination_name';
  // A search of such a line for labels would take quadratic time.
  for (const before of [`x="${'x'.repeat(5000)}",`, 'xxx,'])
    expect(handlerCountsOf(`${name}{${before}${labels}="q",le="1"} 1`, 'millrace').size).toBe(0);
  const text = [
    ...Array.from({ length: 200 }, (_, le) => `${name}{${labels}="orders",le="${le}"} ${le}`),
    ...Array.from({ length: 1200 }, (_, n) => `${name}{${labels}="q${n}",le="1"} 1`),
  ].join('\n');
  const counts = handlerCountsOf(text, 'millrace');
  expect(counts.size).toBe(1000);
  expect(counts.get('orders')?.durations.size).toBe(50);
});

test('a handler that threw Postpone has not failed', () => {
  const text = written('orders', [5], true);
  expect(handlerCountsOf(text, 'millrace').get('orders')?.failed).toBe(5);
  const postponed = handlerCountsOf(text.replaceAll('"Error"', '"Postpone"'), 'millrace').get('orders');
  expect(postponed).toEqual({
    failed: 0,
    durations: new Map([
      [1, 5],
      [10, 0],
      [Number.POSITIVE_INFINITY, 0],
    ]),
  });
});

test('a queue that no worker has any more is forgotten, and begins again at nothing', async () => {
  let text = written('orders', [5], true);
  const workers = new Workers([{ text: async () => text }], 'local:', stop.signal);
  const at = Date.now();
  await workers.read(at);
  text = written('orders', [15], true);
  await workers.read(at + 10_000);
  expect(workers.figures.get('orders')?.failed).toBe(1);
  expect(workers.figures).toBe(workers.figures);
  text = written('others', [15], true);
  await workers.read(at + 20_000);
  expect([...workers.figures.keys()]).toEqual(['others']);
  text = written('orders', [3], true);
  await workers.read(at + 30_000);
  expect(workers.figures.get('orders')?.failed).toBe(0.1);
  // However many names there were, a thousand are kept.
  for (let n = 0; n < 3; n++) {
    text = Array.from({ length: 900 }, (_, index) => written(`${n}.${index}`, [1])).join('');
    await workers.read(at + 40_000 + n * 10_000);
  }
  expect(workers.figures.size).toBe(900);
});

test('what a worker counted while it did not respond for longer than a minute belongs to no minute', async () => {
  let text: string | undefined = written('orders', [5], true);
  const source = {
    text: async () => {
      if (text === undefined) throw new Error('away');
      return text;
    },
  };
  const workers = new Workers([source], 'local:', stop.signal);
  const at = Date.now();
  await workers.read(at);
  text = undefined;
  for (const seconds of [30, 60, 90, 120]) await workers.read(at + seconds * 1000);
  text = written('orders', [1005], true);
  await workers.read(at + 150_000);
  expect(workers.figures.get('orders')?.failed ?? 0).toBe(0);
  text = written('orders', [1065], true);
  await workers.read(at + 180_000);
  expect(workers.figures.get('orders')?.failed).toBe(1);
});

test('what workers did while nobody looked belongs to no minute, nor do the figures from before', async () => {
  let text = written('orders', [0], true);
  const workers = new Workers([{ text: async () => text }], 'local:', stop.signal);
  const at = Date.now();
  await workers.read(at);
  text = written('orders', [5], true);
  await workers.read(at + 1_000);
  expect(workers.figures.get('orders')?.failed).toBe(5);
  text = written('orders', [100_005], true);
  const later = at + 8 * 3_600_000;
  const reading = workers.read(later);
  expect(workers.figures.size).toBe(0);
  await reading;
  expect(workers.figures.size).toBe(0);
  text = written('orders', [100_025], true);
  await workers.read(later + 1_000);
  expect(workers.figures.get('orders')?.failed).toBe(20);
});

test('figures are found by the name of the queue, however the metrics call it', async () => {
  const ofProcess = 'news.process-01234567-0123-0123-0123-0123456789ab';
  const long = 'q'.repeat(250);
  const write = (count: number) =>
    written('news.process', [count], true) + written(`${'q'.repeat(200)}…`, [count], true);
  let text = write(0);
  const workers = new Workers([{ text: async () => text }], 'local:', stop.signal);
  const at = Date.now();
  await workers.read(at);
  text = write(10);
  await workers.read(at + 10_000);
  expect(workers.figuresOf(ofProcess)?.failed).toBe(1);
  expect(workers.figuresOf(long)?.failed).toBe(1);
});

test('the query of a URL that does not respond is not shown: it may hold a token', async () => {
  const workers = new Workers(['http://127.0.0.1:9/metrics?token=secret'], 'local:', stop.signal);
  await workers.read(Date.now());
  expect(workers.errors).toEqual([expect.stringMatching(/^http:\/\/127\.0\.0\.1:9\/metrics: /)]);
});

test('failed attempts of queues that the page does not show are in no sum', async () => {
  const broker = await connect('local:');
  open.push(() => broker.close());
  await createProducer(broker, defineQueue('shown', anyValue)).send(1);
  const write = (count: number) => written('shown', [count], true) + written('hidden', [count], true);
  let text = write(0);
  const workers = new Workers([{ text: async () => text }], 'local:', stop.signal);
  const at = Date.now();
  await workers.read(at);
  text = write(20);
  await workers.read(at + 10_000);
  const queue = await operatorOf(broker).queue('shown');
  const latest = {
    at,
    queues: [queue],
    byName: new Map([['shown', queue]]),
    parked: 0,
    deadLetterQueues: new Set(),
  };
  const sampler = { latest, history: new History(at) };
  const context = { broker, sampler, workers, links: new Links(''), query: new URLSearchParams() };
  const cells = nowView(context as unknown as ViewContext).cells?.();
  expect(cells?.get('strip.failed')?.text).toBe('2.0');
});
