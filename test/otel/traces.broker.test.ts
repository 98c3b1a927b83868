import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { removeQueues } from '../support/remove-queues.js';
import { type ReceivedSpan, receiver } from './receiver.js';

const execute = promisify(execFile);
const program = fileURLToPath(new URL('programs/shop.mjs', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));
const PRODUCER = 4;
const CONSUMER = 5;
const prefix = uniqueName('otel');
afterAll(() => removeQueues(prefix));

interface RunOptions {
  readonly links?: 'parent' | 'link';
  /** Where the SDK is installed. */
  readonly sdk?: string;
  readonly line?: '2' | '3';
  /** The command that runs a program. */
  readonly node?: readonly string[];
}

/** Runs the shop, and returns the spans that reached the collector. */
async function run(
  address: string,
  name: string,
  { links = 'parent', sdk = root, line = '2', node }: RunOptions = {},
) {
  const { url, spans, close } = await receiver();
  const [command = process.execPath, ...args] = node ?? [];
  const env = { ...process.env, OTLP_URL: url, SDK_FOLDER: sdk, SDK_LINE: line };
  await execute(command, [...args, program, address, name, links], { env, timeout: 100_000 }).finally(close);
  /** The only span of this name, or the one of the nth attempt. */
  const find = (spanName: string, isIt: (span: ReceivedSpan) => boolean = () => true): ReceivedSpan => {
    const found = spans.filter((span) => span.name === spanName && isIt(span));
    expect(found, `${spanName}: ${spans.map((span) => span.name).join(', ')}`).toHaveLength(1);
    return found[0] as ReceivedSpan;
  };
  return { spans, find };
}

const ofAttempt = (attempt: number) => (span: ReceivedSpan) =>
  span.attributes['millrace.attempt'] === attempt;

function expectOneTrace({ spans, find }: Awaited<ReturnType<typeof run>>, name: string): void {
  const request = find('GET /order');
  const way = [
    request,
    find(`send ${name}-orders`),
    find(`process ${name}-orders`),
    find(`send ${name}-bills`),
    find(`process ${name}-bills`, ofAttempt(2)),
    find(`send ${name}-parcels`),
    find(`process ${name}-parcels`),
    find('pack A-1'),
  ];
  for (const [index, span] of way.entries()) {
    expect(span.traceId, span.name).toBe(request.traceId);
    expect(span.parentSpanId, span.name).toBe(way[index - 1]?.spanId ?? '');
  }
  const failed = find(`process ${name}-bills`, ofAttempt(1));
  expect(failed).toMatchObject({ isError: true, parentSpanId: way[3]?.spanId, traceId: request.traceId });
  expect(failed.attributes['error.type']).toBe('TypeError');
  expect(find('pack A-1').service).toBe('thread');
  // A topic, a request and a schedule.
  for (const [sent, handled] of [
    [`publish ${name}-shop`, `process ${name}-shop.mail`],
    [`request ${name}-quotes`, `process ${name}-quotes`],
    [`send ${name}-reports`, `process ${name}-reports`],
  ] as const) {
    const sender = find(sent);
    expect(sender).toMatchObject({ traceId: request.traceId, parentSpanId: request.spanId });
    expect(find(handled)).toMatchObject({ traceId: request.traceId, parentSpanId: sender.spanId });
  }
  // Dead letters keep the trace, and so do their replays: the first letter was handled twice.
  const letters = spans.filter((span) => span.name === `process ${name}-letters`);
  expect(letters.filter(({ traceId }) => traceId === request.traceId)).toHaveLength(2);
  expect(letters.filter(({ traceId }) => traceId === '0af7651916cd43dd8448eb211c80319c')).toHaveLength(2);
}

test.concurrent.each([
  ['memory', () => 'local:'],
  ['RabbitMQ', amqpUrl],
])(
  'a request is one trace over three queues, a retry, a thread and dead letters: %s',
  async (kind, address) => {
    const name = `${prefix}-${kind}`;
    const traces = await run(address(), name);
    expectOneTrace(traces, name);
    const { find } = traces;
    expect(find(`send ${name}-orders`)).toMatchObject({
      kind: PRODUCER,
      attributes: {
        'messaging.system': kind === 'memory' ? 'millrace' : 'rabbitmq',
        'messaging.operation.name': 'send',
        'messaging.operation.type': 'send',
        'messaging.destination.name': `${name}-orders`,
        'messaging.message.id': 'm-1',
      },
    });
    const { spanId, traceId } = find(`send ${name}-orders`);
    expect(find(`process ${name}-orders`)).toMatchObject({
      kind: CONSUMER,
      links: [{ spanId, traceId }],
      attributes: { 'messaging.operation.type': 'process', 'messaging.message.id': 'm-1' },
    });
    const batch = find(`process ${name}-boxes`);
    expect(batch.links).toHaveLength(2);
    expect(find('in a batch')).toMatchObject({ parentSpanId: batch.spanId, traceId: batch.traceId });
  },
);

test.concurrent('with links alone each handler begins a trace, and what it sends is a part of that', async () => {
  const { find } = await run('local:', 'linked', { links: 'link' });
  const [sent, handled] = [find('send linked-orders'), find('process linked-orders')];
  expect(handled).toMatchObject({
    parentSpanId: '',
    links: [{ spanId: sent.spanId, traceId: sent.traceId }],
  });
  expect(handled.traceId).not.toBe(sent.traceId);
  expect(find('send linked-bills')).toMatchObject({
    parentSpanId: handled.spanId,
    traceId: handled.traceId,
  });
});

test.concurrent('the SDK of Node 22 and later exports the same', async ({ skip }) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-otel-'));
  try {
    const dependencies = {
      '@opentelemetry/api': '1.10.0',
      '@opentelemetry/sdk-trace': '3.1.1',
      '@opentelemetry/context-async-hooks': '3.1.1',
      '@opentelemetry/core': '3.1.1',
      '@opentelemetry/resources': '3.1.1',
      '@opentelemetry/exporter-trace-otlp-http': '0.301.0',
    };
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
    const install = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--engine-strict=false'];
    const isInstalled = await execute('npm', install, { cwd: folder }).then(
      () => true,
      () => false,
    );
    skip(!isInstalled, 'npm can’t install OpenTelemetry 3');
    const node = ['npx', '--yes', '-p', 'node@24', '--', 'node'];
    expectOneTrace(await run('local:', 'newer', { sdk: folder, line: '3', node }), 'newer');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
