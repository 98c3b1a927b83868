import { expect } from 'vitest';
import { z } from 'zod';
import type { SendManyCounts } from '../../../src/producer/each-value.js';
import type { MessageOptions } from '../../../src/producer/message-options.js';
import { createProducer } from '../../../src/producer/producer.js';
import { eventually } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection, watch } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';
import { numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** The texts of `count` messages, in their order. */
async function texts(t: Parameters<Cases[string]>[0], queue: string, count: number): Promise<unknown[]> {
  const deliveries = await (await t.inbox(queue, { prefetch: 1000 })).take(count);
  return deliveries.map((delivery) => JSON.parse(Buffer.from(delivery.message.body).toString()));
}

export const sendManyCases: Cases = {
  'sendMany stores all values of an iterable, in order': async (t) => {
    const queue = t.define(z.string());
    const values = numbered(500);
    expect(await createProducer(t.broker, queue).sendMany(values)).toEqual({ stored: 500 });
    expect(await texts(t, queue.name, 500)).toEqual(values);
  },

  'sendMany stores all values of an async iterable, in order': async (t) => {
    const queue = t.define(z.string());
    async function* values() {
      for (const value of numbered(100)) {
        await null;
        yield value;
      }
    }
    expect(await createProducer(t.broker, queue).sendMany(values())).toEqual({ stored: 100 });
    expect(await texts(t, queue.name, 100)).toEqual(numbered(100));
  },

  'sendMany of nothing stores nothing': async (t) => {
    const queue = t.define(z.string());
    expect(await createProducer(t.broker, queue).sendMany([])).toEqual({ stored: 0 });
  },

  'sendMany takes values only as fast as they can be sent': async (t) => {
    const queue = t.define(z.string(), { capacity: 10 });
    await t.broker.declare(queue.spec);
    let taken = 0;
    function* plenty() {
      while (taken < 5000) yield `m${taken++}`;
    }
    const controller = new AbortController();
    const sending = createProducer(t.broker, queue).sendMany(plenty(), {
      signal: controller.signal,
      timeoutMs: Number.POSITIVE_INFINITY,
    });
    const watched = watch(sending);
    await (await t.inbox(queue.name, { prefetch: 10 })).ackNext(30);
    expect(watched.state).toBe('pending');
    expect(taken).toBeLessThan(2000);
    controller.abort(new Error('enough'));
    const { progress } = await rejection(sending, 'ABORTED');
    expect(progress?.taken).toBe(taken);
  },

  'sendMany with a signal raises no warning, however many values wait': async (t) => {
    const queue = t.define(z.string(), { capacity: 5 });
    await t.broker.declare(queue.spec);
    const warnings = recordWarnings();
    const { signal } = new AbortController();
    const sending = createProducer(t.broker, queue).sendMany(numbered(50), { signal });
    await (await t.inbox(queue.name)).ackNext(50);
    await sending;
    // Warnings are emitted a moment later.
    await new Promise(setImmediate);
    expect(warnings).toEqual([]);
  },

  'the first value that fails stops sendMany, which reports what is stored and what is not': async (t) => {
    const queue = t.define(z.string());
    const taken: unknown[] = [];
    function* values(): Generator<string> {
      for (const value of ['a', 'b', 5 as unknown as string, 'd', 'e']) {
        taken.push(value);
        yield value;
      }
    }
    const error = await rejection(createProducer(t.broker, queue).sendMany(values()), 'INVALID_MESSAGE');
    const { progress } = error;
    expect(progress).toMatchObject({ taken: taken.length, stored: taken.length - 1 });
    expect(progress?.failed).toHaveLength(1);
    expect(progress?.failed[0]).toMatchObject({ position: 2, error: { code: 'INVALID_MESSAGE' } });
    expect(await t.ready(queue.name)).toBe(progress?.stored);
  },

  'an error of the iterable itself stops sendMany, with that error as the cause': async (t) => {
    const queue = t.define(z.string());
    const cause = new Error('the file ended in the middle of a line');
    function* values() {
      yield 'a';
      yield 'b';
      throw cause;
    }
    async function* asyncValues() {
      yield* values();
    }
    for (const source of [values(), asyncValues()]) {
      const error = await rejection(createProducer(t.broker, queue).sendMany(source), 'ABORTED');
      expect(error.cause).toBe(cause);
      expect(error.progress).toEqual({ taken: 2, stored: 2, failed: [] });
    }
    expect(await t.ready(queue.name)).toBe(4);
  },

  'sendMany says something of each message, in place of what holds for all': async (t) => {
    const queue = t.define(z.object({ id: z.string(), tenant: z.string() }));
    const values = [
      { id: 'a', tenant: 'blue' },
      { id: 'b', tenant: 'red' },
      { id: 'c', tenant: '' },
    ];
    const { stored } = await createProducer(t.broker, queue).sendMany(values, {
      headers: { import: '7', tenant: 'none' },
      correlationId: 'all',
      each: ({ id, tenant }, index) =>
        tenant === ''
          ? {}
          : { id: `import-7-${id}`, headers: { tenant, row: String(index) }, correlationId: id },
    });
    expect(stored).toBe(3);
    const messages = (await (await t.inbox(queue.name)).take(3)).map(({ message }) => message);
    expect(messages.map(({ id, headers, correlationId }) => [id, { ...headers }, correlationId])).toEqual([
      ['import-7-a', { import: '7', tenant: 'blue', row: '0' }, 'a'],
      ['import-7-b', { import: '7', tenant: 'red', row: '1' }, 'b'],
      [expect.stringMatching(/^[0-9a-f-]{36}$/), { import: '7', tenant: 'none' }, 'all'],
    ]);
  },

  'a time of delivery of one message replaces that of all, of either kind': async (t) => {
    const queue = t.define(z.string());
    const { sendMany } = createProducer(t.broker, queue);
    const each = (options: MessageOptions) => (text: string) => (text === 'now' ? options : {});
    const at = new Date(Date.now() + 3_600_000);
    await sendMany(['later', 'now'], { at, each: each({ delayMs: 0 }) });
    await sendMany(['later', 'now'], { delayMs: 3_600_000, each: each({ at: new Date(0) }) });
    expect(await texts(t, queue.name, 2)).toEqual(['now', 'now']);
  },

  'sendMany stops where what is said of a message can not be sent': async (t) => {
    const queue = t.define(z.string());
    const each: (() => object)[] = [
      () => {
        throw new Error('no row');
      },
      () => ({ id: '' }),
      () => ({ headers: { 'x-millrace-attempt': '9' } }),
      () => ({ idd: 'a' }),
      () => undefined as unknown as object,
      // An async function: the id would be lost.
      () => Promise.resolve({ id: 'a' }),
      () => Promise.reject(new Error('no row')),
    ];
    for (const of of each) {
      const sending = createProducer(t.broker, queue).sendMany(['a', 'b', 'c'], {
        each: (value) => (value === 'b' ? of() : {}),
        // It is a mistake of the program, and not of the value.
        onInvalid: 'skip',
      });
      const error = await rejection(sending, 'INVALID_OPTION');
      expect(error.message).toContain('the value at position 1');
      expect(error.progress).toMatchObject({ taken: 2, stored: 1, failed: [{ position: 1 }] });
    }
  },

  'sendMany skips invalid values if it is told to, and says which': async (t) => {
    const queue = t.define(z.string().refine(async (text) => text !== 'refused'));
    const broker = await t.open({ maxMessageBytes: 1000 });
    const values = ['a', 5 as unknown as string, 'refused', 'x'.repeat(2000), 'b'];
    const progress: SendManyCounts[] = [];
    const result = await createProducer(broker, queue).sendMany(values, {
      onInvalid: 'skip',
      onProgress: (counts) => progress.push(counts),
    });
    expect(result).toMatchObject({ stored: 2, skipped: { count: 3 } });
    expect(result.skipped?.first.map(({ position, error }) => [position, error.code])).toEqual([
      [1, 'INVALID_MESSAGE'],
      [2, 'INVALID_MESSAGE'],
      [3, 'TOO_LARGE'],
    ]);
    expect(progress.at(-1)).toEqual({ taken: 5, stored: 2, skipped: 3 });
    const inbox = await Inbox.open(broker, queue.name);
    const bodies = (await inbox.take(2)).map(({ message }) => Buffer.from(message.body).toString());
    expect(bodies).toEqual(['"a"', '"b"']);
  },

  'sendMany lists the first hundred of what it skips, and counts all': async (t) => {
    const queue = t.define(z.string());
    const values = Array.from({ length: 1000 }, (_, index) => (index % 2 ? String(index) : index) as string);
    const { stored, skipped } = await createProducer(t.broker, queue).sendMany(values, { onInvalid: 'skip' });
    expect([stored, skipped?.count, skipped?.first.length]).toEqual([500, 500, 100]);
    expect(skipped?.first.at(-1)?.position).toBe(198);
  },

  'sendMany tells how far it has come, and an error of who listens changes nothing': async (t) => {
    const queue = t.define(z.string());
    const progress: SendManyCounts[] = [];
    async function* values() {
      for (let count = 0; progress.length < 3; count++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        yield String(count);
      }
    }
    const { stored } = await createProducer(t.broker, queue).sendMany(values(), {
      onProgress: (counts) => {
        progress.push(counts);
        throw new Error('nobody cares');
      },
    });
    expect(progress.length).toBeGreaterThanOrEqual(4);
    for (const [index, { taken, stored: soFar }] of progress.entries()) {
      expect(soFar).toBeLessThanOrEqual(taken);
      expect(taken).toBeGreaterThanOrEqual(progress[index - 1]?.taken ?? 0);
    }
    expect(progress.at(-1)).toEqual({ taken: stored, stored, skipped: 0 });
  },

  'sendMany closes an iterable that it does not exhaust': async (t) => {
    const queue = t.define(z.string());
    let cleanedUp = false;
    async function* values() {
      try {
        yield 'a';
        yield 5 as unknown as string;
        yield* numbered(100_000);
      } finally {
        cleanedUp = true;
      }
    }
    await rejection(createProducer(t.broker, queue).sendMany(values()), 'INVALID_MESSAGE');
    expect(cleanedUp).toBe(true);
  },

  'a full queue ends sendMany with TIMEOUT, and its progress is right': async (t) => {
    const queue = t.define(z.string(), { capacity: 5 });
    const producer = createProducer(t.broker, queue);
    // Without a limit: the first sends declare and connect, and storing takes as long as the machine needs.
    const [before, values] = [numbered(50).slice(0, 5), numbered(50).slice(5)];
    await producer.sendMany(before);
    const { progress } = await rejection(producer.sendMany(values, { timeoutMs: 300 }), 'TIMEOUT');
    expect(progress?.taken).toBe(45);
    const stored = progress?.stored ?? 0;
    expect(progress?.failed.map(({ position }) => position)).toEqual(
      Array.from({ length: 45 - stored }, (_, index) => stored + index),
    );
    const read = await texts(t, queue.name, 5 + stored);
    expect(read).toEqual(numbered(5 + stored));
    expect(await t.ready(queue.name)).toBe(0);
  },

  'the progress of an aborted sendMany counts what is stored by then': async (t) => {
    const queue = t.define(z.string(), { capacity: 5 });
    const controller = new AbortController();
    let taken = 0;
    function* values() {
      for (const value of numbered(50)) {
        taken++;
        yield value;
      }
    }
    const sending = createProducer(t.broker, queue).sendMany(values(), { signal: controller.signal });
    const given = rejection(sending, 'ABORTED', 'UNCONFIRMED');
    await eventually(async () => taken === 50 && (await t.ready(queue.name).catch(() => 0)) >= 5);
    controller.abort();
    const { progress } = await given;
    expect(progress?.taken).toBe(50);
    const failed = new Map(progress?.failed.map(({ position, error }) => [position, error.code]));
    expect((progress?.stored ?? 0) + failed.size).toBe(50);
    const read = await texts(t, queue.name, await t.ready(queue.name));
    // Each that is there is stored or UNCONFIRMED, and each that is stored is there.
    for (const [position, text] of numbered(50).entries()) {
      const fate = failed.get(position) ?? 'stored';
      if (read.includes(text)) expect(fate).toMatch(/^(stored|UNCONFIRMED)$/);
      else expect(fate).not.toBe('stored');
    }
  },

  'a value that is not iterable is INVALID_OPTION': async (t) => {
    const producer = createProducer(t.broker, t.define(z.unknown()));
    for (const values of [undefined, null, 5, {}]) {
      await rejection(producer.sendMany(values as unknown as Iterable<unknown>), 'INVALID_OPTION');
    }
  },
};
