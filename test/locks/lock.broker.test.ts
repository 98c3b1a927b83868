import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { connect } from '../../src/connect.js';
import type { QueueError } from '../../src/errors.js';
import { createLock } from '../../src/locks/lock.js';
import { TcpProxy } from '../../src/testing/tcp-proxy.js';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { removeQueues } from '../support/remove-queues.js';

const WAIT = { timeoutMs: 60_000 };

async function scene() {
  const name = uniqueName('lock');
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  const cutOff = await connect(proxy.url(amqpUrl()));
  const other = await connect(amqpUrl());
  onTestFinished(async () => {
    await Promise.all([cutOff.close(), other.close()]);
    await proxy.close();
    await removeQueues(name);
  });
  return { name, proxy, cutOff, other };
}

test('a lock whose link breaks is lost, is told so, and goes to the next one', async () => {
  const { name, proxy, cutOff, other } = await scene();
  const held = await createLock(cutOff, name).acquire(WAIT);
  const next = createLock(other, name).acquire(WAIT);
  const lost = once(held.signal, 'abort');
  proxy.cut();
  await lost;
  expect(held.lost).toBe(true);
  expect(held.signal.reason).toMatchObject({ code: 'CLOSED' } satisfies Partial<QueueError>);

  const taken = await next;
  await held.release(); // gives back nothing that is not its own any more
  const again = createLock(cutOff, name).acquire(WAIT);
  const winner = await Promise.race([again.then(() => 'both'), other.inspect(name).then(() => 'one')]);
  expect(winner).toBe('one');
  await taken.release();
  await (await again).release();
});

test('a wait for a lock outlives the link', async () => {
  const { name, proxy, cutOff, other } = await scene();
  const held = await createLock(other, name).acquire(WAIT);
  const waiting = createLock(cutOff, name).acquire(WAIT);
  await eventually(async () => (await other.inspect(name)).consumers === 2);
  proxy.cut();
  await held.release();
  const taken = await waiting;
  expect(taken.lost).toBe(false);
  await taken.release();
});

test('a wait for a lock ends when it is told to, also over a link that is silent', async () => {
  const { name, proxy, cutOff } = await scene();
  const lock = createLock(cutOff, name);
  const held = await lock.acquire(WAIT);
  const abort = new AbortController();
  const waiting = lock.acquire({ signal: abort.signal });
  await eventually(async () => (await cutOff.inspect(name)).consumers === 2);
  proxy.freeze();
  const released = held.release(); // closes its channel, which is not answered
  abort.abort();
  const first = await Promise.race([
    waiting.catch(({ code }: QueueError) => code),
    released.then(() => 'released'),
  ]);
  expect(first).toBe('ABORTED');
  proxy.thaw();
});

test.each([400, 800, 1600, 3200])(
  'a link that breaks %i bytes into the making of a lock leaves it with each permit once',
  async (bytes) => {
    const { name, proxy, cutOff, other } = await scene();
    const permits = 20;
    const broken = proxy.resetAfterBytes(bytes, 'to-broker');
    const lock = createLock(cutOff, name, { permits });
    // What was handed over and not confirmed within the breaking link may be UNCONFIRMED; then it is tried again.
    const first = await lock.acquire(WAIT).catch(() => lock.acquire(WAIT));
    await broken;
    await first.release();

    const semaphore = createLock(other, name, { permits });
    const held = await Promise.all(Array.from({ length: permits }, () => semaphore.acquire(WAIT)));
    expect(held.map(({ permit }) => permit).sort((a, b) => a - b)).toEqual([...Array(permits).keys()]);
    await expect(semaphore.acquire({ timeoutMs: 300 })).rejects.toMatchObject({ code: 'TIMEOUT' });
  },
);
