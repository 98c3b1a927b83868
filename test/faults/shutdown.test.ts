import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Delivery } from '../../src/broker.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue, type Queue } from '../../src/queue.js';
import { Millrace } from '../cli/support/spawn-millrace.js';
import { uniqueName } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { eventually } from '../support/eventually.js';
import { Inbox } from '../support/inbox.js';
import { removeQueues } from '../support/remove-queues.js';
import { addressOf, brokerBehindProxy } from './ledger/addresses.js';
import { type LedgerPlan, runLedger } from './ledger/ledger.js';
import { size } from './size.js';

const MESSAGES = size(1000, 10_000);
const SIGNALS = size(2, 10);
const CONCURRENCY = 20;

/** A worker's deadline in these tests, and what comes on top of it at most: the broker's `close`, over a dead link. */
const SHUTDOWN_TIMEOUT = '1s';
const LEAVE_LIMIT_MS = 15_000;

const prefix = uniqueName('shutdown');
let count = 0;
afterAll(() => removeQueues(prefix));

type Backend = 'quorum' | 'classic' | 'local:./folder';
const backends: readonly Backend[] = ['quorum', 'classic', 'local:./folder'];

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-shutdown-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A handler module for `millrace work` that writes into a book which messages it begins and ends. */
function bookkeeping(body: string) {
  const folder = newFolder();
  const module = join(folder, 'handler.mjs');
  const book = join(folder, 'book');
  writeFileSync(book, '');
  writeFileSync(
    module,
    `import { appendFileSync } from 'node:fs';
     import { setTimeout as delay } from 'node:timers/promises';
     const write = (line) => appendFileSync(${JSON.stringify(book)}, line + '\\n');
     export default async (value, { id, attempt }) => {
       write('begin ' + id + ' ' + attempt);
       ${body}
       write('end ' + id);
     };`,
  );
  const lines = (verb: string) =>
    readFileSync(book, 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([first]) => first === verb);
  return {
    module,
    begun: () => lines('begin').map(([, id = '', attempt]) => ({ id, attempt: Number(attempt) })),
    ended: () => lines('end').map(([, id = '']) => id),
  };
}

/** A queue with messages. */
async function filled(address: string, backend: Backend, messages: number): Promise<Queue<number>> {
  const queue = defineQueue(
    `${prefix}-${++count}`,
    z.number(),
    backend === 'classic' ? { type: 'classic' } : {},
  );
  const broker = await connect(address);
  onTestFinished(() => broker.close());
  await createProducer(broker, queue).sendMany(Array.from({ length: messages }, (_, index) => index));
  return queue;
}

function work(address: string, queue: string, module: string, ...args: readonly string[]): Millrace {
  const all = ['work', module, '-q', queue, '-c', String(CONCURRENCY), ...args];
  return new Millrace(all, { env: { MILLRACE_URL: address } });
}

/** The exit code. Rejects where the process is still there when it should have left. */
function left(worker: Millrace): Promise<number | NodeJS.Signals | null> {
  const over = delay(LEAVE_LIMIT_MS, undefined, { ref: false }).then(() => {
    throw new Error(`it has not left within ${LEAVE_LIMIT_MS} ms: ${worker.stderr}`);
  });
  return Promise.race([worker.exit(), over]);
}

/** All that is in the queue, which must be so many messages. */
async function inQueue(address: string, queue: string, messages: number): Promise<Delivery[]> {
  const broker = await connect(address);
  onTestFinished(() => broker.close());
  const inbox = await Inbox.open(broker, queue, { prefetch: 1000 });
  const all = await inbox.take(messages);
  expect(new Set(all.map(({ message }) => message.id)).size).toBe(messages);
  return all;
}

describe.each(backends)('workers of a queue that goes on being filled (%s)', (backend) => {
  it(`that are stopped ${SIGNALS} times finish running handlers, and leave the rest to other workers`, async () => {
    const plan: LedgerPlan = {
      fault: 'worker told to stop (SIGTERM) under load',
      backend,
      address: await addressOf(backend),
      queue: `${prefix}-ledger-${backend.replaceAll(/\W/g, '')}`,
      messages: 2 * MESSAGES,
      workers: 2,
      handlerMs: 10,
    };
    const { duplicates } = await runLedger(plan, async ({ strike, handled, workers, startWorker }) => {
      for (let stop = 0; stop < SIGNALS; stop++) {
        await handled(Math.ceil(Math.random() * 150));
        await strike(async () => {
          const worker = workers.at(-2);
          await worker?.midway();
          await worker?.terminate();
        });
        await startWorker();
      }
    });
    expect(duplicates).toBe(0);
  });
});

describe.each(backends)('a worker under load (%s)', (backend) => {
  it(`that is stopped ${SIGNALS} times handles each message once, at its first attempt`, async () => {
    const address = await addressOf(backend);
    const queue = await filled(address, backend, MESSAGES);
    const book = bookkeeping('await delay(Math.random() * 10);');
    for (let signal = 1; signal <= SIGNALS; signal++) {
      const worker = work(address, queue.name, book.module);
      const enough = Math.floor((signal * MESSAGES) / (SIGNALS + 1));
      await eventually(() => book.ended().length >= enough, { timeoutMs: 30_000 });
      worker.child.kill('SIGTERM');
      expect(await left(worker)).toBe(0);
      expect(book.begun()).toHaveLength(book.ended().length);
    }
    expect(await work(address, queue.name, book.module, '--drain').exit()).toBe(0);
    expect(new Set(book.ended()).size).toBe(MESSAGES);
    expect(book.ended()).toHaveLength(MESSAGES);
    expect(book.begun().filter(({ attempt }) => attempt !== 1)).toEqual([]);
  });

  it('whose handlers never end stops at its deadline, and their messages return at no cost', async () => {
    const address = await addressOf(backend);
    const messages = 5 * CONCURRENCY;
    const queue = await filled(address, backend, messages);
    const book = bookkeeping('await new Promise(() => setInterval(() => {}, 1000));');
    const worker = work(address, queue.name, book.module, '--shutdown-timeout', SHUTDOWN_TIMEOUT);
    await eventually(() => book.begun().length === CONCURRENCY);
    worker.child.kill('SIGTERM');
    expect(await left(worker)).toBe(143);
    expect(book.ended()).toEqual([]);
    const all = await inQueue(address, queue.name, messages);
    expect(all.filter(({ attempt }) => attempt !== 1)).toEqual([]);
    const begun = new Set(book.begun().map(({ id }) => id));
    for (const { message, redelivered } of all) if (begun.has(message.id)) expect(redelivered).toBe(true);
  });
});

type Outage = 'gone' | 'frozen';
const outages: readonly Outage[] = ['gone', 'frozen'];

async function brokerWithOutage(outage: Outage) {
  const { proxy, address, directAddress } = await brokerBehindProxy();
  const begin = async () => {
    if (outage === 'frozen') return proxy.freeze();
    await proxy.refuse(true);
    proxy.cut();
  };
  /** What was on its way is lost, as it is with the process or the network. */
  const end = async () => {
    proxy.cut();
    proxy.thaw();
    await proxy.refuse(false);
  };
  return { begin, end, address, directAddress };
}

describe.each(outages)('while the broker is %s', (outage) => {
  it.each([
    ['never end', 'await new Promise(() => setInterval(() => {}, 1000));'],
    ['end meanwhile', 'await delay(300);'],
  ])('a worker whose handlers %s leaves by its deadline, and no message is lost', async (_, body) => {
    const { begin, end, address, directAddress } = await brokerWithOutage(outage);
    const messages = 5 * CONCURRENCY;
    const queue = await filled(directAddress, 'quorum', messages);
    const book = bookkeeping(body);
    const worker = work(address, queue.name, book.module, '--shutdown-timeout', SHUTDOWN_TIMEOUT);
    await eventually(() => book.begun().length >= CONCURRENCY);
    await begin();
    worker.child.kill('SIGTERM');
    expect([0, 143]).toContain(await left(worker));
    await end();
    // Those whose acknowledgement had arrived are gone, and only those.
    const handled = new Set(book.ended());
    const broker = await connect(directAddress);
    onTestFinished(() => broker.close());
    const seen = new Set<string>();
    const inbox = await Inbox.open(broker, queue.name, { prefetch: 1000 });
    await eventually(() => {
      for (const { message } of inbox.deliveries) seen.add(message.id);
      return new Set([...seen, ...handled]).size === messages;
    });
  });

  it('stop() and close() settle, though a handler never ends', async () => {
    const { begin, address, directAddress } = await brokerWithOutage(outage);
    const queue = await filled(directAddress, 'quorum', 10);
    const broker = await connect(address);
    const begun: AbortSignal[] = [];
    const consumer = createConsumer(
      broker,
      queue,
      (_value, { signal }) => {
        begun.push(signal);
        return new Promise(() => {});
      },
      { concurrency: 2 },
    );
    await consumer.start();
    await eventually(() => begun.length === 2);
    await begin();
    await consumer.stop({ deadlineMs: 100 });
    expect(begun.map(({ aborted }) => aborted)).toEqual([true, true]);
    await broker.close();
    expect(broker.state).toBe('closed');
  });
});
