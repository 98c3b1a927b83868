/**
 * What a newcomer met in the first hour. What needs RabbitMQ is in first-hour.broker.test.ts; a fresh project with
 * TypeScript, and what is in the package, in test/package.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { BrokerEvent } from '../../src/broker.js';
import { backendOf } from '../../src/common/backend-of.js';
import { connect } from '../../src/connect.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { isQueueError } from '../../src/errors.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue, type Queue } from '../../src/queue.js';
import { createPublisher } from '../../src/topics/publisher.js';
import { defineSubscription } from '../../src/topics/subscription.js';
import { defineTopic } from '../../src/topics/topic.js';
import { hasTerminal, onTerminal } from '../cli/support/screen.js';
import { millrace } from '../cli/support/spawn-millrace.js';
import { eventually } from '../support/eventually.js';
import { rejection } from '../support/rejection.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-first-hour-'));
afterAll(() => rmSync(folder, { recursive: true, maxRetries: 3 }));
let folders = 0;
/** Queues that no other test uses. */
const fresh = () => `local:${join(folder, String(++folders))}`;

async function handled<Out>(address: string, queue: Queue<never, Out>): Promise<Out> {
  await using broker = await connect(address);
  const values: Out[] = [];
  await using consumer = createConsumer(broker, queue, (value) => {
    values.push(value);
  });
  await consumer.start();
  await eventually(() => values.length === 1);
  return values[0] as Out;
}

describe('the command line', () => {
  test.skipIf(!hasTerminal)('doctor is green on a colour terminal, and shows no escape codes', async () => {
    const { exitCode, screen, rows } = await onTerminal(['doctor', '-u', fresh()], { columns: 80 });
    expect([exitCode, screen.unknown, screen.colored(0, '32')]).toEqual([0, [], 'ok  ']);
    expect(rows.join('\n')).not.toContain('\\x1b');
  });

  test.skipIf(!hasTerminal)('the first command of the README draws one line, at 80 columns', async () => {
    const { exitCode, rows } = await onTerminal(['demo', '--messages', '200', '--handle', '5ms'], {
      columns: 80,
    });
    expect(exitCode).toBe(0);
    expect(rows.filter((row) => /^ +\d+\.\d s {2}\[/.test(row))).toHaveLength(1);
  });

  test("JSON typed at the prompt reaches an application's handler as JSON", async () => {
    const url = fresh();
    await millrace(['send', '-u', url, '-q', 'cj', '{"id":"A-1","total":12.5}']);
    const queue = defineQueue('cj', z.object({ id: z.string(), total: z.number() }));
    expect(await handled(url, queue)).toEqual({ id: 'A-1', total: 12.5 });
  });

  test('a queue that was first touched by the command line is usable from code', async () => {
    const url = fresh();
    await millrace(['send', '-u', url, '-q', 'jobs', 'hi']);
    expect(await handled(url, defineQueue('jobs', z.string()))).toBe('hi');
  });

  test('queues are listed, shown, looked into, emptied and removed', async () => {
    const url = fresh();
    await millrace(['send', '-u', url, '-q', 'jobs', 'hi there']);
    const run = (...args: string[]) => millrace([...args, '-u', url]);
    expect((await run('queues')).stdout).toMatch(/^jobs +1 /m);
    expect((await run('show', 'jobs')).stdout).toMatch(/^ready: +1$/m);
    expect((await run('peek', 'jobs')).stdout).toMatch(/^hi there$/m);
    expect((await run('purge', 'jobs', '--force')).exitCode).toBe(0);
    expect((await run('remove', 'jobs', '--force')).exitCode).toBe(0);
    expect((await run('show', 'jobs')).exitCode).toBe(4);
  });

  test.each(['', 'relative'])("with HOME='%s' there is no queue in the working directory", async (home) => {
    const cwd = mkdtempSync(join(folder, 'cwd-'));
    const { exitCode, stderr } = await millrace(['send', 'hi'], {
      cwd,
      env: { HOME: home, XDG_STATE_HOME: '' },
    });
    expect(exitCode).toBe(78);
    expect(stderr).toMatch(/HOME/);
    expect(readdirSync(cwd)).toEqual([]);
  });

  test('send shortens what it echoes', async () => {
    const { exitCode, stdout } = await millrace(['send', '-', '-u', fresh()], { input: 'x'.repeat(900_000) });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ \[x\] Sent 'x+…' \(900000 bytes\)\n$/);
    expect(stdout.length).toBeLessThan(250);
  });

  test('the help of `dlq list`, and hints that can be pasted', async () => {
    const url = fresh();
    expect((await millrace(['help', 'dlq', 'list'])).stdout).toMatch(/^Usage: millrace dlq list /);
    expect((await millrace(['dlq', 'list', '--nope'])).stderr).toContain("run 'millrace dlq list --help'");
    await millrace(['send', 'x', '-u', url]);
    await millrace(['work', '--drain', '--retry', 'none', '--exec', 'exit 1', '-u', url]);
    const { stderr } = await millrace(['dlq', 'list', '-u', url]);
    const [, hint = ''] = /To show one: millrace (.*)/.exec(stderr) ?? [];
    const pasted = await millrace(hint.split(' '));
    expect([pasted.exitCode, pasted.stdout]).toEqual([0, expect.stringMatching(/^reason: +failed$/m)]);
  });

  test('a duration without a unit is refused, with a question', async () => {
    const { exitCode, stderr } = await millrace(['send', 'x', '--timeout', '5']);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('Add a unit, such as 5s or 5ms.');
  });

  test('what a piped worker logs has one format', async () => {
    const url = fresh();
    await millrace(['send', 'x', '-u', url]);
    const shell = `"${process.execPath}" "${fileURLToPath(new URL('../../dist/cli/bin.js', import.meta.url))}" work --drain -u "${url}"`;
    const { stderr } = await promisify(execFile)('sh', ['-c', shell]);
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).event);
    expect(events).toEqual(['started', 'summary']);
  });

  test('--exec documents what it passes, and a child finds the same broker', async () => {
    const url = fresh();
    const { stdout } = await millrace(['work', '--help']);
    for (const name of ['ID', 'ATTEMPT', 'QUEUE', 'CONTENT_TYPE', 'URL'])
      expect(stdout).toContain(`MILLRACE_${name}`);
    await millrace(['send', 'x', '-u', url]);
    const child = await millrace(['work', '--drain', '--exec', 'echo "is $MILLRACE_URL"', '-u', url]);
    expect(child.stdout).toContain(`is ${url}`);
  });

  test('a handler in TypeScript says which Node runs it, where this one does not', async () => {
    const url = fresh();
    const handler = join(folder, 'handler.ts');
    writeFileSync(handler, 'export default (value: string): void => console.log("got", value);\n');
    await millrace(['send', 'x', '-u', url]);
    const { exitCode, stdout, stderr } = await millrace(['work', handler, '--drain', '-u', url]);
    const runsTypeScript = 'typescript' in process.features && Boolean(process.features.typescript);
    if (runsTypeScript) expect([exitCode, stdout]).toEqual([0, 'got x\n']);
    else expect([exitCode, stderr]).toEqual([78, expect.stringContaining('Node.js 22.18')]);
  });
});

describe('code', () => {
  test('connect keeps looking for a broker that does not answer yet, says so, and ends with the reason', async () => {
    const events: BrokerEvent[] = [];
    const connecting = connect('amqp://127.0.0.1:1', {
      connectTimeoutMs: 700,
      observe: (event) => events.push(event),
    });
    const error = await rejection(connecting, 'UNREACHABLE');
    expect(events).toMatchObject([{ type: 'waiting' }]);
    expect(error.message).toMatch(/ECONNREFUSED/);
  });

  test('a handler that fails is not silent', async () => {
    const warned = once(process, 'warning');
    await using broker = await connect('local:');
    const queue = defineQueue('silent', z.string());
    await using consumer = createConsumer(broker, queue, () => {
      throw new TypeError('handler bug');
    });
    await consumer.start();
    await createProducer(broker, queue).send('x');
    expect(String((await warned)[0])).toContain('handler bug');
  });

  test('what JSON loses is refused by the first send, with its path and a remedy', async () => {
    await using broker = await connect('local:');
    const send = (schema: z.ZodType, value: unknown) =>
      rejection(createProducer(broker, defineQueue('dates', schema)).send(value), 'INVALID_MESSAGE');
    const dates = await send(z.object({ at: z.date() }), { at: new Date() });
    expect(dates.message).toMatch(/at: .*use z\.coerce\.date\(\), or codec: 'structured'$/);
    const maps = await send(z.object({ m: z.map(z.string(), z.number()) }), { m: new Map() });
    expect(maps.message).toMatch(/m: JSON loses a Map; .*codec: 'structured'$/);
    expect((await broker.inspect('dates').catch((error) => error)).ready ?? 0).toBe(0);
  });

  test('what waits is visible: for a retry, and for its time', async () => {
    await using broker = await connect('local:');
    const queue = defineQueue('lag', z.string());
    const producer = createProducer(broker, queue);
    await using consumer = createConsumer(broker, queue, () => Promise.reject(new Error('no')), {
      retry: { delaysMs: [60_000] },
      observe: () => {},
    });
    await consumer.start();
    await producer.send('fails');
    await producer.send('later', { delayMs: 60_000 });
    await eventually(async () => (await broker.inspect('lag')).delayed === 2);
    expect(await broker.inspect('lag')).toMatchObject({ ready: 0, delayed: 2, dead: 0 });
  });

  test('a handler runs in the span of its message, and what it sends continues the trace', async () => {
    const { context, trace } = await import('@opentelemetry/api');
    const sdk = await import('@opentelemetry/sdk-trace-node');
    const { instrument } = await import('../../src/otel/index.js');
    const exporter = new sdk.InMemorySpanExporter();
    const provider = new sdk.NodeTracerProvider({ spanProcessors: [new sdk.SimpleSpanProcessor(exporter)] });
    provider.register();
    const end = instrument();
    try {
      await using broker = await connect('local:');
      const [first, second] = [defineQueue('first', z.string()), defineQueue('second', z.string())];
      const active: unknown[] = [];
      const onward = createProducer(broker, second);
      await using one = createConsumer(broker, first, async (value) => {
        active.push(trace.getActiveSpan());
        await onward.send(value);
      });
      await using two = createConsumer(broker, second, () => {});
      await Promise.all([one.start(), two.start()]);
      await createProducer(broker, first).send('x');
      await eventually(() => exporter.getFinishedSpans().length === 4);
      expect(active).toEqual([expect.anything()]);
      const traces = exporter.getFinishedSpans().map((span) => span.spanContext().traceId);
      expect(new Set(traces).size).toBe(1);
    } finally {
      end();
      await provider.shutdown();
      trace.disable();
      context.disable();
    }
  });

  test('one event reaches several queues, typed', async () => {
    await using broker = await connect('local:');
    const shop = defineTopic('shop', { 'order.created': z.object({ id: z.string() }) });
    const seen: string[] = [];
    for (const name of ['mail', 'search']) {
      const consumer = createConsumer(broker, defineSubscription(shop, name, { to: ['order.*'] }), {
        handlers: { 'order.created': ({ id }) => seen.push(`${name} ${id}`) },
      });
      await consumer.start();
    }
    await createPublisher(broker, shop).publish('order.created', { id: 'A-1' });
    await eventually(() => seen.length === 2);
    expect(seen.sort()).toEqual(['mail A-1', 'search A-1']);
  });

  test('a handler chooses its delay, and a policy computes delays without an end', async () => {
    const { RetryLater } = await import('../../src/index.js');
    await using broker = await connect('local:');
    const queue = defineQueue('asks', z.string());
    const events: unknown[] = [];
    await using consumer = createConsumer(
      broker,
      queue,
      (_value, { attempt }) => {
        if (attempt === 1) throw new RetryLater(1);
      },
      {
        retry: { attempts: 100_000, backoff: () => 60_000, jitter: 0.5 },
        observe: (event) => events.push(event),
      },
    );
    await consumer.start();
    await createProducer(broker, queue).send('x');
    await eventually(() => events.length === 2);
    expect(events).toMatchObject([{ type: 'retried', delayMs: 1 }, { type: 'handled' }]);
  });

  test('an import has ids of its own, goes on past bad rows, and tells how far it is', async () => {
    await using broker = await connect('local:');
    const queue = defineQueue('rows', z.object({ id: z.string() }));
    const progress: unknown[] = [];
    const rows = [{ id: 'a' }, { id: 5 as unknown as string }, { id: 'b' }];
    const result = await createProducer(broker, queue).sendMany(rows, {
      each: ({ id }) => ({ id: `row-${id}` }),
      onInvalid: 'skip',
      onProgress: (counts) => progress.push(counts),
    });
    expect(result).toMatchObject({ stored: 2, skipped: { count: 1, first: [{ position: 1 }] } });
    expect(progress.at(-1)).toEqual({ taken: 3, stored: 2, skipped: 1 });
  });

  test('two sends under one id have one id in the handler, by which it can tell them apart from two orders', async () => {
    await using broker = await connect('local:');
    const queue = defineQueue('twice', z.string());
    const [ids, effects] = [[] as string[], new Set<string>()];
    await using consumer = createConsumer(broker, queue, (_value, { id }) => {
      ids.push(id);
      effects.add(id);
    });
    await consumer.start();
    const producer = createProducer(broker, queue);
    for (const _ of [1, 2]) await producer.send('x', { id: 'order:A-1' });
    await eventually(() => ids.length === 2);
    expect([...effects]).toEqual(['order:A-1']);
    // The recipe with a database is run by test/readme.
    expect(readFileSync(new URL('../../docs/messages.md', import.meta.url), 'utf8')).toContain(
      '## Duplicates',
    );
  });

  test('a folder that cannot be created is reported within the time limit', async () => {
    const opening = connect('local:/proc/x', { connectTimeoutMs: 10_000 });
    expect(isQueueError(await opening.catch((error) => error))).toBe(true);
  });

  test('another server at the address is named', async () => {
    const server = createServer((_request, response) => response.end('hello'));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const error = await connect(`amqp://127.0.0.1:${port}`).catch((thrown) => thrown);
    expect(error.message).toMatch(/HTTP/);
    server.closeAllConnections();
    server.close();
  });

  test('errors contain whole milliseconds', async () => {
    await using broker = await connect('local:');
    const queue = defineQueue('full', z.string(), { capacity: 1 });
    const producer = createProducer(broker, queue);
    await producer.send('x');
    const error = await rejection(producer.send('y', { timeoutMs: 30 }), 'TIMEOUT');
    expect(error.message).toMatch(/\d ms/);
    expect(error.message).not.toMatch(/\d\.\d+ ms/);
  });

  test('options that a broker ignores are told', async () => {
    const events: BrokerEvent[] = [];
    await using broker = await connect('local:', {
      heartbeatMs: 5000,
      observe: (event) => events.push(event),
    });
    const queue = defineQueue('ttl', z.string(), { arguments: { 'x-message-ttl': 50 } });
    await createProducer(broker, queue).send('x');
    expect(events).toMatchObject([
      { type: 'ignored', options: ['heartbeatMs'] },
      { type: 'ignored', queue: 'ttl', options: [expect.stringMatching(/^x-message-ttl/)] },
    ]);
  });

  test('a context has nothing of the inside, and a message without an id is refused at the door', async () => {
    await using broker = await connect('local:');
    const queue = defineQueue('inside', z.string());
    let keys: string[] = [];
    await using consumer = createConsumer(broker, queue, (_value, context) => {
      keys = Object.keys(context);
    });
    await consumer.start();
    await createProducer(broker, queue).send('x');
    await eventually(() => keys.length > 0);
    expect(keys).not.toContain('place');
    const bare = { contentType: 'text/plain', headers: {}, body: 'x' } as never;
    const publishing = async () => backendOf(broker).publish({ exchange: '', routingKey: 'inside' }, bare);
    await rejection(publishing(), 'INVALID_MESSAGE');
  });
});

test('the longest error messages fit on two lines of a terminal', async () => {
  const source = fileURLToPath(new URL('../../src/', import.meta.url));
  const long: [number, string][] = [];
  for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    for (const text of await textsOf(join(source, name))) long.push([text.length, `${name}: ${text}`]);
  }
  long.sort(([one], [other]) => other - one);
  expect(long.length).toBeGreaterThan(500);
  expect(long.filter(([length]) => length > 160)).toEqual([]);
});

/** The sentences that a file can print, with a word in place of each value. Help and SQL have several lines, and pages tags. */
async function textsOf(file: string): Promise<string[]> {
  const { readFile } = await import('node:fs/promises');
  const code = (await readFile(file, 'utf8')).replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const literals =
    /`((?:[^`\\$]|\\.|\$\{(?:[^{}]|\{[^{}]*\}|`[^`]*`)*\}|\$)*)`|'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"/g;
  return [...code.matchAll(literals)]
    .map((match) => match[1] ?? match[2] ?? match[3] ?? '')
    .filter((text) => text.includes(' ') && !text.includes('\n') && !text.startsWith('<'))
    .map((text) => stripVTControlCharacters(text.replaceAll(/\$\{[^}]*\}+/g, 'x'.repeat(12))));
}
