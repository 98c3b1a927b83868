import { afterEach, expect, test, vi } from 'vitest';
import type { Broker } from '../../src/broker.js';
import { connect, createProducer, defineQueue, QueueError } from '../../src/index.js';
import { BrokerStatus } from '../../src/page/figures/broker-status.js';
import { Sampler } from '../../src/page/figures/sampler.js';
import { Workers } from '../../src/page/figures/workers.js';
import { anyValue } from './any-value.js';

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** A broker in memory, with what is asked of its operator functions. Paused, it answers none before their time limit. */
async function counted(): Promise<{ broker: Broker; asked: string[]; pause(): void }> {
  const broker = await connect('local:');
  open.push(() => broker.close());
  await createProducer(broker, defineQueue('orders', anyValue)).send(1);
  const asked: string[] = [];
  let isPaused = false;
  const late = async ({ timeoutMs }: { timeoutMs: number }) => {
    await new Promise((resolve) => setTimeout(resolve, timeoutMs));
    throw new QueueError('TIMEOUT', `no answer within ${timeoutMs} ms`);
  };
  const noting = <T extends object>(target: T, note: (name: string, value: unknown) => unknown): T =>
    new Proxy(target, {
      get(_, name) {
        const value = Reflect.get(target, name, target);
        const own = note(String(name), value);
        return typeof own === 'function' ? own.bind(target) : own;
      },
    });
  const watched = noting(broker as object, (name, value) => {
    if (name !== 'operator') return value;
    return noting(value as object, (asking, method) => {
      asked.push(asking);
      return isPaused ? late : method;
    });
  });
  const pause = () => {
    isPaused = true;
  };
  return { broker: watched as Broker, asked, pause };
}

function sample(broker: Broker, metrics: string[], isAlwaysKept: boolean): Sampler {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
  open.push(() => vi.useRealTimers());
  const source = {
    async text() {
      metrics.push('read');
      return '';
    },
  };
  const workers = new Workers([source], broker.url, new AbortController().signal);
  const sampler = new Sampler(broker, undefined, workers, isAlwaysKept);
  open.push(() => sampler.close());
  return sampler;
}

test('while nobody looks, neither the broker nor a worker is asked; while somebody does, once a second', async () => {
  const { broker, asked } = await counted();
  const metrics: string[] = [];
  const sampler = sample(broker, metrics, false);
  await vi.advanceTimersByTimeAsync(HOUR);
  // For the first view.
  expect([asked, metrics]).toEqual([['queues'], ['read']]);
  const stop = sampler.watch(() => {});
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(asked.length).toBeGreaterThanOrEqual(60);
  expect(asked.length).toBeLessThanOrEqual(62);
  // At its start, once more soon after, and then every five seconds.
  expect(metrics.length).toBeLessThanOrEqual(15);
  const before = [asked.length, metrics.length];
  stop();
  await vi.advanceTimersByTimeAsync(24 * HOUR);
  expect([asked.length, metrics.length]).toEqual(before);
});

test('the figures are collected twice a minute while nobody looks, if they are always kept', async () => {
  const { broker, asked } = await counted();
  const metrics: string[] = [];
  const sampler = sample(broker, metrics, true);
  await vi.advanceTimersByTimeAsync(HOUR);
  expect(asked.length).toBe(121);
  expect(metrics.length).toBe(121);
  sampler.close();
  await vi.advanceTimersByTimeAsync(HOUR);
  expect(asked.length).toBe(121);
});

test('views of an open page do not ask the broker for each of them, and one that is opened later does', async () => {
  const { broker, asked } = await counted();
  const sampler = sample(broker, [], false);
  const stop = sampler.watch(() => {});
  await vi.advanceTimersByTimeAsync(SECOND);
  const before = asked.length;
  // Somebody who visits one after another.
  for (let n = 0; n < 20; n++) {
    await sampler.refresh();
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(asked.length - before).toBe(2);
  stop();
  await vi.advanceTimersByTimeAsync(HOUR);
  await createProducer(broker, defineQueue('orders', anyValue)).send(2);
  await sampler.refresh();
  expect(sampler.latest.byName.get('orders')?.ready).toBe(2);
});

test('a broker that no longer answers has been away since it was asked, not since the time limit', async () => {
  const { broker, pause } = await counted();
  const sampler = sample(broker, [], false);
  const stop = sampler.watch(() => {});
  await vi.advanceTimersByTimeAsync(MINUTE);
  expect(sampler.isSilent).toBe(false);
  pause();
  const pausedAt = Date.now();
  await vi.advanceTimersByTimeAsync(MINUTE);
  stop();
  expect(sampler.isSilent).toBe(true);
  expect((sampler.error?.since ?? 0) - pausedAt).toBeLessThanOrEqual(SECOND);
  // Its connection was found to be lost only now.
  const outage = { since: Date.now(), reason: new QueueError('CLOSED', 'Heartbeat timeout') };
  const { since } = new BrokerStatus({ state: 'connecting', outage }, sampler).read();
  expect(since - pausedAt).toBeLessThanOrEqual(SECOND);
});
