import { expect } from 'vitest';
import type { Backend } from '../../../src/broker.js';
import { isQueueError } from '../../../src/errors.js';
import type { HeldLock } from '../../../src/locks/held-lock.js';
import { createLock, type LockOptions } from '../../../src/locks/lock.js';
import { eventually } from '../../support/eventually.js';
import { rejection, watch } from '../../support/rejection.js';
import { addressOf, type ContractContext, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** Long enough for a permit that is there to arrive, on a machine that is slow. */
const WAIT_MS = 60_000;
/** Long enough to see that one that is there would have been handed out. */
const SHORT_WAIT_MS = 300;

/** Takes all the permits that can be had: waits for as many as are free, and tries for one more. */
async function drain(
  broker: Backend,
  name: string,
  { free, ...options }: LockOptions & { readonly free?: number } = {},
): Promise<HeldLock[]> {
  const lock = createLock(broker, name, options);
  const held: HeldLock[] = [];
  for (;;) {
    try {
      const isFree = held.length < (free ?? lock.permits);
      held.push(await lock.acquire({ timeoutMs: isFree ? WAIT_MS : SHORT_WAIT_MS }));
    } catch (error) {
      if (isQueueError(error, 'TIMEOUT')) return held;
      throw error;
    }
  }
}

export const lockCases: Cases = {
  'a mutex is held by one at a time, whatever connection it is on': async (t) => {
    const name = t.queueName();
    const brokers = await t.connections(4);
    let [holders, most, total] = [0, 0, 0];
    const work = async (broker: Backend) => {
      const lock = createLock(broker, name);
      for (let round = 0; round < 5; round++) {
        await using held = await lock.acquire();
        most = Math.max(most, ++holders);
        const seen = total;
        await new Promise(setImmediate);
        total = seen + 1;
        holders--;
        expect(held.lost).toBe(false);
      }
    };
    await Promise.all(brokers.map(work));
    expect({ most, total }).toEqual({ most: 1, total: 20 });
  },

  'a semaphore has exactly its permits, each held by one holder': async (t) => {
    const name = t.queueName();
    const held = await drain(t.broker, name, { permits: 3 });
    expect(held.map(({ permit }) => permit).sort()).toEqual([0, 1, 2]);
    await held[1]?.release();
    const again = await drain(t.broker, name, { permits: 3, free: 1 });
    expect(again.map(({ permit }) => permit)).toEqual([held[1]?.permit]);
  },

  'however many processes start at the same time, the permits are stored once': async (t) => {
    const name = t.queueName();
    const brokers = await t.connections(8);
    const all = await Promise.all(
      brokers.map(async (broker) => {
        const held = await createLock(broker, name, { permits: 3 }).acquire({ timeoutMs: WAIT_MS });
        await held.release();
        return held.permit;
      }),
    );
    expect(all.every((permit) => [0, 1, 2].includes(permit))).toBe(true);
    expect(await drain(t.broker, name, { permits: 3 })).toHaveLength(3);
  },

  'a process that dies while it creates the lock leaves it intact': async (t) => {
    const name = t.queueName();
    // It had claimed the queue, by a number that nobody else knows, and stored some of the permits.
    await t.broker.declare({ ...lockQueue(t, name), capacity: 123_456_789 });
    await t.broker.publish(addressOf(name), message({ id: 'a', body: '0' }));
    const held = await drain(t.broker, name, { permits: 2 });
    expect(held.map(({ permit }) => permit).sort()).toEqual([0, 1]);
    expect(await t.ready(name)).toBe(1);
  },

  'a lock with a different number of permits is QUEUE_MISMATCH, and remains unchanged': async (t) => {
    const name = t.queueName();
    const [first] = await drain(t.broker, name, { permits: 1 });
    const error = await rejection(createLock(t.broker, name, { permits: 2 }).acquire(), 'QUEUE_MISMATCH');
    expect(error.message).toContain(name);
    await first?.release();
    expect(await drain(t.broker, name, { permits: 1 })).toHaveLength(1);
  },

  'a wait for a lock ends with its time limit or its signal, and takes nothing': async (t) => {
    const name = t.queueName();
    const lock = createLock(t.broker, name);
    const held = await lock.acquire();
    const { message: text } = await rejection(lock.acquire({ timeoutMs: 50 }), 'TIMEOUT');
    expect(text).toContain(name);
    const abort = new AbortController();
    const waiting = rejection(lock.acquire({ signal: abort.signal }), 'ABORTED');
    abort.abort();
    await waiting;
    await rejection(lock.acquire({ signal: AbortSignal.abort() }), 'ABORTED');
    await held.release();
    await (await lock.acquire({ timeoutMs: WAIT_MS })).release();
    await t.untilCounted(name, { ready: 1, consumers: 0 });
  },

  'a released permit goes to the waiters, one after the other': async (t) => {
    const lock = createLock(t.broker, t.queueName());
    const first = await lock.acquire();
    const others = [lock.acquire(), lock.acquire()];
    const watched = others.map(watch);
    await first.release();
    const second = await Promise.race(others);
    expect(watched.filter(({ state }) => state === 'resolved')).toHaveLength(1);
    await second.release();
    await Promise.all(others);
  },

  'releasing twice, and at the end of a block as well, returns one permit': async (t) => {
    const name = t.queueName();
    const lock = createLock(t.broker, name);
    {
      await using held = await lock.acquire();
      await held.release();
      await held.release();
      expect(held.signal.aborted).toBe(false);
    }
    expect(await drain(t.broker, name)).toHaveLength(1);
  },

  'closing its broker loses a held lock, with notice, and rejects waiters with CLOSED': async (t) => {
    const name = t.queueName();
    const broker = await t.open();
    const lock = createLock(broker, name);
    const held = await lock.acquire();
    const waiting = rejection(lock.acquire(), 'CLOSED');
    await broker.close();
    await waiting;
    await eventually(() => held.lost);
    expect(held.signal.reason).toMatchObject({ code: 'CLOSED' });
    expect(held.signal.reason.message).toContain(name);
    await held.release();
    expect(held.lost).toBe(true);
    await rejection(lock.acquire(), 'CLOSED');
    expect(await drain(t.broker, name)).toHaveLength(1);
  },

  'invalid names and options are refused before any I/O': async (t) => {
    for (const name of ['', 'x'.repeat(250), 'amq.lock', 'a\nb']) {
      expect(() => createLock(t.broker, name)).toThrow(/name/);
    }
    expect(() => createLock(t.broker, 'a', { permits: 0 })).toThrow(/permits/);
    // @ts-expect-error There is no such option.
    expect(() => createLock(t.broker, 'a', { permit: 1 })).toThrow(/permit/);
    const lock = createLock(t.broker, t.queueName());
    await rejection(lock.acquire({ timeoutMs: -1 }), 'INVALID_OPTION');
  },
};

function lockQueue(t: ContractContext, name: string) {
  return t.spec({ type: 'quorum', deadLetter: false, deliveryLimit: Number.POSITIVE_INFINITY }, name);
}
