import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { amqpUrl } from '../support/broker.js';
import { eventually, untilAsserted } from '../support/eventually.js';
import { declareAsTutorial, put, queueNames, rawChannel, ready, takeAll } from './support/queues.js';
import { hasTerminal, TerminalRun } from './support/screen.js';
import { Millrace } from './support/spawn-millrace.js';

const nextQueue = queueNames('cli-signals');
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-signals-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Says when it has begun, and is done when the file `<folder>/<body>` is there, or when its signal is aborted. */
const handler = join(folder, 'handler.mjs');
writeFileSync(
  handler,
  `import { existsSync } from 'node:fs';
   export default async (name, { signal }) => {
     console.log('begun ' + name);
     signal.addEventListener('abort', () => console.log('aborted ' + name));
     while (!existsSync(${JSON.stringify(`${folder}/`)} + name)) await new Promise((r) => setTimeout(r, 20));
     console.log('done ' + name);
   };`,
);

let channel: ConfirmChannel;
beforeAll(async () => {
  channel = await rawChannel();
});

/** A worker in the middle of its first message, of two. */
async function busyWorker(...args: readonly string[]) {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  await put(channel, queue, queue, 'second');
  const worker = new Millrace(['work', handler, '-q', queue, ...args], { env: { MILLRACE_URL: amqpUrl() } });
  await worker.said(`begun ${queue}`);
  return { worker, queue, finish: () => writeFileSync(join(folder, queue), '') };
}

/** Waits until so many messages are back in the queue. */
async function left(queue: string, count: number) {
  const messages = await eventually(
    async () => (await ready(channel, queue)) === count && takeAll(channel, queue),
  );
  return messages.map(({ content, fields }) => ({
    content: content.toString(),
    redelivered: fields.redelivered,
  }));
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const)(
  'the first %s lets the running handler finish, gives the rest back and ends with 0',
  async (signal) => {
    const { worker, queue, finish } = await busyWorker();
    worker.child.kill(signal);
    await worker.said('finishing 1 message in flight');
    finish();
    expect(await worker.exit()).toBe(0);
    expect(worker.stdout).toBe(`begun ${queue}\ndone ${queue}\n`);
    expect(await left(queue, 1)).toMatchObject([{ content: 'second' }]);
  },
);

test('the notice says how many are in flight, how long they have, and how to force', async () => {
  const { worker, finish } = await busyWorker('--shutdown-timeout', '20s');
  worker.child.kill('SIGTERM');
  await worker.said('stopping');
  finish();
  expect(await worker.exit()).toBe(0);
  const line = JSON.parse(worker.stderr.split('\n').find((text) => text.includes('stopping')) ?? '');
  expect(line).toMatchObject({
    event: 'stopping',
    signal: 'SIGTERM',
    inFlight: 1,
    shutdownTimeoutMs: 20_000,
  });
  expect(line.message).toContain('20 s');
  expect(line.message).toContain('CTRL+C again');
});

test('the second INT gives the unfinished back and ends with 130', async () => {
  const { worker, queue } = await busyWorker();
  worker.child.kill('SIGINT');
  await worker.said('finishing 1 message');
  worker.child.kill('SIGINT');
  expect(await worker.exit()).toBe(130);
  expect(worker.stdout).not.toContain('done');
  expect(worker.stderr).toContain('returned 1 message');
  expect((await left(queue, 2)).map(({ content }) => content).sort()).toEqual([queue, 'second'].sort());
});

test('after the deadline TERM ends with 143, the handler is aborted, and its message returns', async () => {
  const { worker, queue } = await busyWorker('--shutdown-timeout', '200ms');
  worker.child.kill('SIGTERM');
  expect(await worker.exit()).toBe(143);
  expect(worker.stdout).toBe(`begun ${queue}\naborted ${queue}\n`);
  expect(worker.stderr.split('returned 1 message')).toHaveLength(2);
  expect(await left(queue, 2)).toContainEqual({ content: queue, redelivered: true });
});

test.each([
  ['SIGINT', 130],
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
] as const)('after the deadline %s ends with %i, and the message is given back', async (signal, exitCode) => {
  const { worker, queue } = await busyWorker('--shutdown-timeout', '200ms');
  worker.child.kill(signal);
  expect(await worker.exit()).toBe(exitCode);
  expect(await left(queue, 2)).toContainEqual({ content: queue, redelivered: true });
});

test.each(['SIGHUP', 'SIGQUIT'] as const)('%s leaves handlers less time than TERM', async (signal) => {
  const { worker, finish } = await busyWorker('--shutdown-timeout', '10m');
  worker.child.kill(signal);
  await worker.said('stopping');
  finish();
  expect(await worker.exit()).toBe(0);
  const line = JSON.parse(worker.stderr.split('\n').find((text) => text.includes('stopping')) ?? '');
  expect(line).toMatchObject({ signal, shutdownTimeoutMs: 5000 });
});

test('a second HUP, which a closing terminal sends, does not cut the handlers short', async () => {
  const { worker, finish } = await busyWorker();
  worker.child.kill('SIGHUP');
  await worker.said('finishing 1 message');
  worker.child.kill('SIGHUP');
  finish();
  expect(await worker.exit()).toBe(0);
});

test('a HUP after an INT brings the deadline nearer', async () => {
  const { worker } = await busyWorker('--shutdown-timeout', '10m');
  worker.child.kill('SIGINT');
  await worker.said('finishing 1 message');
  worker.child.kill('SIGHUP');
  expect(await worker.exit()).toBe(129);
});

test('a worker that finishes its --count can still be stopped faster', async () => {
  const { worker, queue } = await busyWorker('--count', '1', '--shutdown-timeout', '200ms');
  worker.child.kill('SIGTERM');
  expect(await worker.exit()).toBe(143);
  expect(await left(queue, 2)).toContainEqual({ content: queue, redelivered: true });
});

test('an idle worker ends with 0', async () => {
  const worker = new Millrace(['work', '-q', nextQueue(), '-u', amqpUrl()]);
  await worker.said('Waiting');
  worker.child.kill('SIGTERM');
  expect(await worker.exit()).toBe(0);
});

test('a command of --exec is not hit by the first signal, and ended by the second', async () => {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  await put(channel, queue, 'x');
  const args = ['work', '-q', queue, '-u', amqpUrl(), '--exec', 'echo $$; exec sleep 600'];
  const worker = new Millrace(args);
  await worker.said(/\d+\n/);
  const pid = Number.parseInt(worker.stdout, 10);
  worker.child.kill('SIGINT');
  await worker.said('finishing 1 message');
  expect(() => process.kill(pid, 0)).not.toThrow();
  worker.child.kill('SIGINT');
  expect(await worker.exit()).toBe(130);
  await untilAsserted(() => {
    expect(() => process.kill(pid, 0)).toThrow();
  });
  expect(await left(queue, 1)).toEqual([{ content: 'x', redelivered: true }]);
});

/** A worker whose command has started a process that outlives the shell and ignores TERM. */
async function commandWithChild(start: (args: readonly string[]) => Millrace | TerminalRun) {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  await put(channel, queue, 'x');
  const command = `sh -c 'trap "" TERM; echo "pid=$$."; exec sleep 600' & wait`;
  const args = ['work', '-q', queue, '-u', amqpUrl(), '--shutdown-timeout', '200ms', '--exec', command];
  const worker = start(args);
  await worker.said(/pid=\d+\./);
  const output = worker instanceof Millrace ? worker.stdout : worker.raw;
  const pid = Number(/pid=(\d+)\./.exec(output)?.[1]);
  const ended = () =>
    untilAsserted(
      () => {
        expect(() => process.kill(pid, 0)).toThrow();
      },
      { timeoutMs: 30_000 },
    );
  return { worker, queue, ended };
}

test.each(['SIGHUP', 'SIGQUIT', 'SIGTERM'] as const)(
  'a command of --exec ends with all that it has started, after %s',
  async (signal) => {
    const { worker, queue, ended } = await commandWithChild((args) => new Millrace(args));
    worker.child.kill(signal);
    expect(await worker.exit()).not.toBe(0);
    await ended();
    expect(await left(queue, 1)).toEqual([{ content: 'x', redelivered: true }]);
  },
);

test.skipIf(!hasTerminal)(
  'a terminal that closes ends the worker, and its command (needs script)',
  async () => {
    const { worker, queue, ended } = await commandWithChild((args) => new TerminalRun(args, { columns: 80 }));
    worker.child.kill('SIGKILL');
    await ended();
    expect(await left(queue, 1)).toEqual([{ content: 'x', redelivered: true }]);
  },
);

test.each([
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
  ['SIGTERM', 143],
] as const)(
  'send -l is ended by %s with %i, and says how many lines are stored',
  async (signal, exitCode) => {
    const queue = nextQueue();
    await declareAsTutorial(channel, queue);
    const run = new Millrace(['send', '-q', queue, '-l', '-u', amqpUrl()], { input: { open: true } });
    run.child.stdin?.write('one\ntwo\n');
    await eventually(async () => (await ready(channel, queue)) === 2);
    run.child.kill(signal);
    expect(await run.exit()).toBe(exitCode);
    // The broker has both; whether the command has heard so of both when the signal comes, nobody promises.
    const text = new RegExp(
      `^millrace: ended by ${signal}: (\\d) of the 2 lines read are stored(?:, (\\d) more may be)?\n$`,
    );
    expect(run.stderr).toMatch(text);
    const [, stored, unknown = 0] = text.exec(run.stderr) ?? [];
    expect(Number(stored) + Number(unknown)).toBe(2);
  },
);
