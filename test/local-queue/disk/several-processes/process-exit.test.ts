import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { PublishOptions } from '../../../../src/broker.js';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import { eventually, untilAsserted } from '../../../support/eventually.js';
import { rejection } from '../../../support/rejection.js';
import { newFolder, plainQueue } from '../folders.js';
import { Actor } from './actor.js';
import { holdLock } from './lock-holder.js';

const SCRIPT = fileURLToPath(new URL('../processes/exits-while-sending.mjs', import.meta.url));

test('process.exit() in the middle of sending ends the process, and leaves a store that works', async () => {
  const folder = newFolder();
  for (const milliseconds of [20, 50, 90, 140, 200, 270]) {
    const child = spawn(process.execPath, [SCRIPT, folder, String(milliseconds)], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Ends what hangs, so that the test fails by its result.
      timeout: 60_000,
      killSignal: 'SIGKILL',
    });
    const [[code, signal], stderr] = await Promise.all([once(child, 'exit'), text(child.stderr)]);
    // Node 20 may fail an assertion of its own when V8 still compiles for a thread whose process exits.
    if (signal === 'SIGABRT') expect(stderr).toContain('NodePlatform::ForIsolate(v8::Isolate*)');
    else expect([code, signal, stderr]).toEqual([7, null, '']);
  }
  const broker = await openDiskBroker(folder);
  expect((await broker.inspect('numbers')).ready).toBeGreaterThan(0);
  await broker.close();
});

test('a program that closes a broker whose files were removed continues', async () => {
  const script = fileURLToPath(new URL('../processes/closes-removed.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, newFolder()], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [[code], stdout] = await Promise.all([once(child, 'exit'), text(child.stdout)]);
  expect([code, stdout]).toEqual([0, 'STORAGE_ERROR\nclosed\n']);
});

describe('while a process that stands still holds the lock', () => {
  test('another that calls process.exit() ends, and the lock with neither', async () => {
    const folder = newFolder();
    const broker = await openDiskBroker(folder);
    onTestFinished(() => broker.close());
    const sender = spawn(process.execPath, [SCRIPT, folder], { stdio: ['pipe', 'inherit', 'inherit'] });
    onTestFinished(() => void sender.kill('SIGKILL'));
    await eventually(async () => (await broker.inspect('numbers')).ready > 0);
    const holder = await holdLock(folder);
    const ended = once(sender, 'exit');
    sender.stdin.write('exit\n');
    expect(await ended).toEqual([7, null]);
    holder.kill('SIGKILL');
    expect((await broker.inspect('numbers')).ready).toBeGreaterThan(0);
  });

  test('a new folder is opened when the lock is free, or not within the time limit', async () => {
    const folder = newFolder();
    const holder = await holdLock(folder);
    const open = (connectTimeoutMs: number) =>
      rejection(openDiskBroker(folder, { connectTimeoutMs }), 'UNREACHABLE');
    let error = await open(300);
    // A busy machine may not have got as far as the lock.
    for (let ms = 1000; !error.message.includes('holds the lock') && ms < 30_000; ms *= 3)
      error = await open(ms);
    expect(error.message).toContain(folder);
    expect(error.message).toContain(`process ${holder.pid} holds the lock`);
    holder.kill('SIGKILL');
    const broker = await openDiskBroker(folder);
    expect(broker.state).toBe('connected');
    await broker.close();
  });

  test('an operation that needs the lock waits up to its time limit, and continues when the lock is free', async () => {
    const folder = newFolder();
    await (await openDiskBroker(folder)).close();
    const holder = await holdLock(folder);
    const broker = await openDiskBroker(folder);
    await rejection(broker.declare(plainQueue('numbers'), { timeoutMs: 300 }), 'TIMEOUT');
    holder.kill('SIGKILL');
    await untilAsserted(async () => expect((await broker.inspect('numbers')).ready).toBe(0));
    await broker.close();
  });

  test('a send that comes while the lease is renewed, and others hold the lock, is stored as soon as they let go', async () => {
    const folder = newFolder();
    // Renewed every 33 ms.
    const broker = await openDiskBroker(folder, { leaseMs: 100 });
    await broker.declare(plainQueue('numbers'));
    await broker.subscribe('numbers.dead', { prefetch: 1 }, () => {});
    const holder = await holdLock(folder);
    // Long enough for a renewal to begin, and to wait for the lock.
    await delay(200);
    const sending = broker.publish(
      { exchange: '', routingKey: 'numbers' },
      { id: 'late', contentType: '', headers: {}, body: 'late' },
      { timeoutMs: 20_000 },
    );
    await delay(50);
    holder.kill('SIGKILL');
    await sending;
    await broker.close();
  });

  test('every wait ends at its own limit, and says which process holds the lock', async () => {
    const folder = newFolder();
    const broker = await openDiskBroker(folder);
    await broker.declare(plainQueue('numbers', { capacity: 1 }));
    const subscription = await broker.subscribe('numbers.dead', { prefetch: 1 }, () => {});
    const publish = (id: string, options?: PublishOptions) =>
      broker.publish(
        { exchange: '', routingKey: 'numbers' },
        { id, contentType: '', headers: {}, body: id },
        options,
      );
    await publish('room for one');
    const begin = performance.now();
    (await holdLock(folder)).kill('SIGKILL');
    const startMs = performance.now() - begin;
    // It waits for room, and then for the lock, which another process has to take before this wait is over.
    const early = rejection(publish('early', { timeoutMs: 1000 + 5 * startMs }), 'TIMEOUT');
    await broker.inspect('numbers');
    const holder = await holdLock(folder);
    const limit = { timeoutMs: 300 + startMs };
    const abort = new AbortController();
    const waits = [
      early,
      rejection(publish('sent', limit), 'TIMEOUT'),
      rejection(broker.declare(plainQueue('others'), limit), 'TIMEOUT'),
      rejection(broker.inspect('numbers', limit), 'TIMEOUT'),
      rejection(broker.purge('numbers', limit), 'TIMEOUT'),
      rejection(broker.remove('others', limit), 'TIMEOUT'),
      rejection(
        broker.subscribe('numbers', { prefetch: 1, ...limit }, () => {}),
        'TIMEOUT',
      ),
    ];
    for (const error of await Promise.all(waits)) {
      expect(error.message).toContain(`process ${holder.pid} holds the lock of the folder`);
    }
    const aborted = rejection(publish('aborted', { signal: abort.signal }), 'ABORTED');
    const closed = rejection(publish('not limited'), 'CLOSED');
    abort.abort();
    await aborted;
    await subscription.close();
    await broker.close();
    await closed;
    holder.kill('SIGKILL');
    const again = await openDiskBroker(folder);
    // What ended with TIMEOUT, ABORTED or CLOSED was not stored.
    expect(await again.purge('numbers')).toBe(1);
    await again.close();
  });

  test('an abandoned operation does not keep the process alive', async () => {
    const folder = newFolder();
    const actor = await Actor.open(folder);
    await actor.tell('declare', { spec: plainQueue('numbers') });
    await holdLock(folder);
    const options = { timeoutMs: 300 };
    const late = { code: 'TIMEOUT', message: expect.stringContaining('holds the lock') };
    await expect(actor.tell('declare', { spec: plainQueue('others'), options })).rejects.toMatchObject(late);
    await expect(actor.tell('publish', { queue: 'numbers', ids: ['a'], options })).rejects.toMatchObject(
      late,
    );
    await expect(
      actor.tell('subscribe', { queue: 'numbers', prefetch: 1, ...options }),
    ).rejects.toMatchObject(late);
    actor.hangUp();
    expect(await actor.ended).toBe(0);
  });

  test('a broker can be closed, and the lock is free when it is let go of', async () => {
    const folder = newFolder();
    const actor = await Actor.open(folder);
    await actor.tell('declare', { spec: plainQueue('numbers') });
    const holder = await holdLock(folder);
    await actor.tell('close');
    holder.kill('SIGKILL');
    const broker = await openDiskBroker(folder);
    expect(await broker.inspect('numbers')).toMatchObject({ ready: 0, consumers: 0 });
    await broker.close();
    await actor.tell('open');
    expect(await actor.tell('inspect', { queue: 'numbers' })).toMatchObject({ ready: 0, consumers: 0 });
    actor.hangUp();
    expect(await actor.ended).toBe(0);
  });
});
