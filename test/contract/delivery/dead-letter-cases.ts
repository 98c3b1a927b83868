import { expect } from 'vitest';
import { z } from 'zod';
import type { Delivery, MessageHeaders, QueueSpec } from '../../../src/broker.js';
import { deadLetterHeaders } from '../../../src/common/message/dead-letter-headers.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import type { ReplayEvent } from '../../../src/dead-letters/replay.js';
import { createProducer } from '../../../src/producer/producer.js';
import { EventLog } from '../../support/event-log.js';
import { untilAsserted } from '../../support/eventually.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { addressOf, type ContractContext, message, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** A queue whose messages of these ids all became dead letters, in this order. */
async function queueWithDead(
  t: ContractContext,
  ids: readonly string[],
  why = 'no licence',
): Promise<QueueSpec> {
  const queue = await t.declare();
  await t.publishAll(queue, ids);
  const inbox = await t.inbox(queue, { prefetch: 1 });
  for (const _ of ids) await (await inbox.next()).deadLetter({ code: 'failed', error: why });
  await inbox.subscription.close();
  await t.untilCounted(`${queue.name}.dead`, { ready: ids.length });
  return queue;
}

/** The ids in a queue, from first to last. The messages stay there. */
async function idsIn(t: ContractContext, queue: string, count: number): Promise<string[]> {
  await t.untilCounted(queue, { ready: count });
  const inbox = await Inbox.open(t.broker, queue, { prefetch: 500 });
  const ids = idsOf(await inbox.take(count));
  await inbox.subscription.close();
  await t.untilCounted(queue, { ready: count });
  return ids;
}

const dead = ({ name }: QueueSpec) => `${name}.dead`;

export const deadLetterCases: Cases = {
  'a dead letter says when, why and after how many attempts it failed': async (t) => {
    const queue = t.define(z.string());
    const { id } = await createProducer(t.broker, queue).send('Hello World!', {
      headers: { tenant: 'blue' },
    });
    const log = new EventLog();
    const before = Date.now();
    const consumer = createConsumer(
      t.broker,
      queue,
      (_value, { attempt }) => {
        throw new Error(`failure ${attempt}`);
      },
      { retry: { delaysMs: [0, 0] }, observe: log.observe },
    );
    await consumer.start();
    await log.until('dead-lettered');
    await consumer.stop();
    const { deadLetters: letters, ...looked } = await deadLetters(t.broker, queue).list();
    expect(looked).toEqual({ total: 1, scanned: 1 });
    expect(letters).toMatchObject([
      {
        id,
        queue: queue.name,
        reason: 'failed',
        error: 'failure 3',
        firstError: 'failure 1',
        attempts: 3,
        message: { contentType: 'application/json', headers: { tenant: 'blue' } },
      },
    ]);
    expect(Buffer.from(letters[0]?.message.body ?? '').toString()).toBe('"Hello World!"');
    expect(Date.parse(letters[0]?.deadAt ?? '')).toBeGreaterThanOrEqual(before);
  },

  'listing dead letters does not change them': async (t) => {
    const ids = numbered(70);
    const queue = await queueWithDead(t, ids);
    const letters = deadLetters(t.broker, queue.name);
    for (let look = 0; look < 3; look++) {
      const { deadLetters: found, ...looked } = await letters.list();
      expect(looked).toEqual({ total: 70, scanned: 70 });
      expect(found.map(({ id }) => id)).toEqual(ids);
      expect(found.every(({ attempts }) => attempts === 1)).toBe(true);
    }
    expect(await idsIn(t, dead(queue), 70)).toEqual(ids);
  },

  'a limit selects the first ones, and the result has the total': async (t) => {
    const ids = numbered(60);
    const queue = await queueWithDead(t, ids);
    const { deadLetters: letters, total } = await deadLetters(t.broker, queue.name).list({ limit: 25 });
    expect(letters.map(({ id }) => id)).toEqual(ids.slice(0, 25));
    expect(total).toBe(60);
    expect(await idsIn(t, dead(queue), 60)).toEqual(ids);
  },

  'dead letters are selected by id, reason, time and text': async (t) => {
    const queue = await queueWithDead(t, ['a', 'b']);
    await t.broker.publish(addressOf(dead(queue)), message({ id: 'foreign', body: 'no history' }));
    const letters = deadLetters(t.broker, queue.name);
    const ids = async (filter: Parameters<typeof letters.list>[0]) =>
      (await letters.list(filter)).deadLetters.map(({ id }) => id);
    expect(await ids({ ids: ['b', 'foreign', 'none'] })).toEqual(['b', 'foreign']);
    expect(await ids({ reason: 'failed' })).toEqual(['a', 'b']);
    expect(await ids({ reason: 'unknown' })).toEqual(['foreign']);
    expect(await ids({ match: 'licence' })).toEqual(['a', 'b']);
    expect(await ids({ match: 'body of b' })).toEqual(['b']);
    const hour = 3_600_000;
    expect(await ids({ since: new Date(Date.now() - hour) })).toEqual(['a', 'b']);
    expect(await ids({ before: new Date(Date.now() - hour) })).toEqual([]);
    expect(await ids({ reason: 'failed', match: 'body of a' })).toEqual(['a']);
  },

  'a queue without dead letters lists none; a missing queue is an error': async (t) => {
    const queue = await t.declare();
    expect(await deadLetters(t.broker, queue.name).list()).toEqual({
      total: 0,
      scanned: 0,
      deadLetters: [],
    });
    const lone = await t.declare({ declare: 'if-missing', deadLetter: false });
    expect(await deadLetters(t.broker, lone.name).list()).toMatchObject({ total: 0, deadLetters: [] });
    await rejection(deadLetters(t.broker, t.queueName()).list(), 'QUEUE_MISSING');
    const named = deadLetters(t.broker, queue.name, { queue: t.queueName() });
    await rejection(named.list(), 'QUEUE_MISSING');
  },

  'a replayed dead letter is the original message, on its first attempt': async (t) => {
    const queue = t.define(z.string());
    const { id } = await createProducer(t.broker, queue).send('x', {
      headers: { tenant: 'blue' },
      priority: 7,
      correlationId: 'c1',
    });
    const log = new EventLog();
    const failing = createConsumer(
      t.broker,
      queue,
      () => {
        throw new Error('no');
      },
      { retry: { delaysMs: [0] }, observe: log.observe },
    );
    await failing.start();
    await log.until('dead-lettered');
    await failing.stop();
    const events: ReplayEvent[] = [];
    const letters = deadLetters(t.broker, queue);
    const result = await letters.replay({ observe: (event) => events.push(event) });
    expect(result).toEqual({ total: 1, scanned: 1, replayed: 1, invalid: 0, failed: 0 });
    expect(events).toMatchObject([{ type: 'replayed', to: queue.name, deadLetter: { id, attempts: 2 } }]);
    const delivery = await (await t.inbox(queue.name)).next();
    expect(delivery).toMatchObject({
      attempt: 1,
      redelivered: false,
      message: { id, priority: 7, correlationId: 'c1', contentType: 'application/json' },
    });
    expect(ownHeaders(delivery)).toEqual({ tenant: 'blue', 'x-millrace-replay': expect.any(String) });
    expect((await letters.list()).total).toBe(0);
  },

  'a dead letter that fails again is not replayed twice in one run': async (t) => {
    const ids = numbered(20);
    const queue = t.define(z.string());
    await t.broker.declare(queue.spec);
    // Above the others: those that come back lie before those that are still to be replayed.
    for (const id of ids) {
      await t.broker.publish(
        addressOf(dead(queue.spec)),
        message({ id, contentType: 'application/json', body: '"x"', priority: 9 }),
      );
    }
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      () => {
        throw new Error('still no');
      },
      { retry: { delaysMs: [] }, observe: log.observe },
    );
    await consumer.start();
    const result = await deadLetters(t.broker, queue).replay();
    expect(result).toMatchObject({ total: 20, replayed: 20, failed: 0 });
    await log.until('dead-lettered', 20);
    expect(log.of('dead-lettered').map(({ id }) => id)).toEqual(ids);
    await consumer.stop();
    await t.untilCounted(dead(queue.spec), { ready: 20 });
  },

  'of dead letters that are alike each is replayed, however many windows they take': async (t) => {
    const queue = t.define(z.unknown());
    await t.broker.declare(queue.spec);
    const failure = { code: 'failed', error: 'no' } as const;
    const deadAt = new Date(Date.now() - 60_000);
    const headers = deadLetterHeaders({}, { queue: queue.name, attempt: 1, failure, deadAt });
    // The first window has 16.
    for (let n = 0; n < 20; n++) {
      await t.broker.publish(addressOf(dead(queue.spec)), message({ id: 'twin', headers }));
    }
    await t.untilCounted(dead(queue.spec), { ready: 20 });
    expect(await deadLetters(t.broker, queue.name).replay()).toMatchObject({ total: 20, replayed: 20 });
    await t.untilCounted(queue.spec, { ready: 20 });
    await t.untilCounted(dead(queue.spec), { ready: 0 });
  },

  'messages that become dead letters during a replay are left for the next one': async (t) => {
    const queue = await queueWithDead(t, numbered(20));
    const letters = deadLetters(t.broker, queue.name);
    const late: Promise<unknown>[] = [];
    const { replayed } = await letters.replay({
      observe: ({ deadLetter }) => {
        late.push(t.broker.publish(addressOf(dead(queue)), message({ id: `late-${deadLetter.id}` })));
      },
    });
    await Promise.all(late);
    expect(replayed).toBe(20);
    expect((await idsIn(t, dead(queue), 20)).sort()).toEqual(numbered(20, 'late-m').sort());
    expect(await idsIn(t, queue.name, 20)).toEqual(numbered(20));
  },

  'dead letters that fail the schema stay, and the others are replayed': async (t) => {
    const queue = t.define(z.object({ total: z.number() }));
    await t.broker.declare(queue.spec);
    const bodies = { good: '{"total":1}', bad: '{"total":"1"}', broken: '{', fine: '{"total":2}' };
    for (const [id, body] of Object.entries(bodies)) {
      const letter = message({ id, body, contentType: 'application/json' });
      await t.broker.publish(addressOf(dead(queue.spec)), letter);
    }
    const events: ReplayEvent[] = [];
    const letters = deadLetters(t.broker, queue);
    const result = await letters.replay({ observe: (event) => events.push(event) });
    expect(result).toMatchObject({ replayed: 2, invalid: 2, failed: 0 });
    const of = (type: ReplayEvent['type']) => events.filter((event) => event.type === type);
    expect(of('replayed').map(({ deadLetter }) => deadLetter.id)).toEqual(['good', 'fine']);
    expect(of('invalid')).toMatchObject([
      { deadLetter: { id: 'bad' }, error: { code: 'INVALID_MESSAGE' } },
      { deadLetter: { id: 'broken' } },
    ]);
    expect(await idsIn(t, dead(queue.spec), 2)).toEqual(['bad', 'broken']);
    expect(await idsIn(t, queue.name, 2)).toEqual(['good', 'fine']);
  },

  'dead letters stay if the queue to replay to is gone': async (t) => {
    const queue = await queueWithDead(t, ['a', 'b']);
    const gone = t.queueName();
    const letters = deadLetters(t.broker, queue.name);
    expect(await letters.replay({ to: gone, dryRun: true })).toMatchObject({ replayed: 0, failed: 2 });
    const events: ReplayEvent[] = [];
    const observe = (event: ReplayEvent) => events.push(event);
    expect(await letters.replay({ to: gone, observe })).toMatchObject({ replayed: 0, failed: 2 });
    expect(events).toMatchObject([
      { type: 'failed', deadLetter: { id: 'a' }, to: gone, error: { code: 'UNROUTABLE' } },
      { type: 'failed', deadLetter: { id: 'b' } },
    ]);
    expect(await idsIn(t, dead(queue), 2)).toEqual(['a', 'b']);
    const elsewhere = await t.declare();
    expect(await letters.replay({ to: elsewhere.name })).toMatchObject({ replayed: 2 });
    expect(await idsIn(t, elsewhere.name, 2)).toEqual(['a', 'b']);
  },

  'no header decides where a dead letter is replayed to': async (t) => {
    const queue = t.define(z.number());
    const target = await t.declare();
    const death = [{ reason: 'rejected', queue: target.name, exchange: '', count: 1 }];
    const forged: Record<string, Record<string, string>> = {
      millrace: { 'x-millrace-reason': 'failed', 'x-millrace-queue': target.name },
      rabbitmq: { 'x-death': JSON.stringify(death), 'x-first-death-queue': target.name },
      both: {
        'x-millrace-reason': 'failed',
        'x-millrace-queue': target.name,
        'x-death': JSON.stringify(death),
      },
    };
    await t.broker.declare(queue.spec);
    for (const [id, headers] of Object.entries(forged)) {
      for (const [suffix, body] of [
        ['', '1'],
        ['-misfit', '"admin"'],
      ] as const) {
        const letter = message({ id: id + suffix, headers, body, contentType: 'application/json' });
        await t.broker.publish(addressOf(dead(queue.spec)), letter);
      }
    }
    const events: ReplayEvent[] = [];
    const observe = (event: ReplayEvent) => events.push(event);
    const result = await deadLetters(t.broker, queue).replay({ observe });
    expect(result).toMatchObject({ total: 6, replayed: 3, invalid: 3, failed: 0 });
    expect(new Set(events.map(({ to }) => to))).toEqual(new Set([queue.name]));
    expect(await idsIn(t, queue.name, 3)).toEqual(Object.keys(forged));
    expect(await deadLetters(t.broker, queue.name).replay()).toMatchObject({ replayed: 3 });
    await t.untilCounted(queue.name, { ready: 6 });
    expect(await t.ready(target)).toBe(0);
  },

  'in a shared dead-letter queue each replay leaves the messages of other queues': async (t) => {
    const shared = t.queueName();
    const queues = [await t.declare({ deadLetter: shared }), await t.declare({ deadLetter: shared })];
    for (const [index, queue] of queues.entries()) {
      await t.publish(queue, `m${index}`);
      const inbox = await t.inbox(queue);
      await (await inbox.next()).deadLetter({ code: 'failed', error: 'no' });
      await inbox.subscription.close();
    }
    await t.untilCounted(shared, { ready: 2 });
    const [first, second] = queues.map(({ name }) => name) as [string, string];
    const events: ReplayEvent[] = [];
    const letters = deadLetters(t.broker, first, { queue: shared });
    const result = await letters.replay({ observe: (event) => events.push(event) });
    expect(result).toMatchObject({ total: 2, replayed: 1, failed: 1 });
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'failed',
        deadLetter: expect.objectContaining({ id: 'm1', queue: second }),
        error: expect.objectContaining({ message: expect.stringContaining(second) }),
      }),
    );
    expect(await idsIn(t, first, 1)).toEqual(['m0']);
    expect(await deadLetters(t.broker, second, { queue: shared }).replay()).toMatchObject({
      replayed: 1,
    });
    expect(await idsIn(t, second, 1)).toEqual(['m1']);
  },

  'a known schema is checked wherever dead letters are replayed to': async (t) => {
    const queue = t.define(z.number());
    const elsewhere = await t.declare();
    await t.broker.declare(queue.spec);
    for (const body of ['1', '"x"']) {
      const letter = message({ id: body, body, contentType: 'application/json' });
      await t.broker.publish(addressOf(dead(queue.spec)), letter);
    }
    const result = await deadLetters(t.broker, queue).replay({ to: elsewhere.name });
    expect(result).toMatchObject({ replayed: 1, invalid: 1 });
    expect(await idsIn(t, elsewhere.name, 1)).toEqual(['1']);
  },

  "a dead letter that can't be validated at the moment stays, and the others are replayed": async (t) => {
    const queue = t.define(z.number());
    await t.broker.declare(queue.spec);
    for (const body of ['1', '2']) {
      const letter = message({ id: body, body, contentType: 'application/json' });
      await t.broker.publish(addressOf(dead(queue.spec)), letter);
    }
    const decode: typeof queue.decode = (received) =>
      received.id === '1' ? Promise.reject(new Error('no such host')) : queue.decode(received);
    const result = await deadLetters(t.broker, { ...queue, decode }).replay();
    expect(result).toMatchObject({ replayed: 1, invalid: 0, failed: 1 });
    expect(await idsIn(t, dead(queue.spec), 1)).toEqual(['1']);
  },

  'letters that share an id, as all of some programs do, are replayed, and each once': async (t) => {
    const queue = t.define(z.unknown());
    await t.broker.declare(queue.spec);
    const at = Date.now();
    const parts = [
      { body: '1', timestamp: at },
      { body: '2', timestamp: at },
      { body: '1', timestamp: at - 5000 },
      { body: '1', timestamp: at },
    ];
    for (const part of parts)
      await t.broker.publish(addressOf(dead(queue.spec)), message({ id: '0', ...part }));
    const letters = deadLetters(t.broker, queue.name);
    // The last one is like the first in all that was sent.
    expect(await letters.replay()).toMatchObject({ scanned: 4, replayed: 4 });
    expect(await idsIn(t, queue.name, 4)).toEqual(['0', '0', '0', '0']);
  },

  'an observer that throws, or rejects, stops neither a replay nor a drop': async (t) => {
    const queue = await queueWithDead(t, numbered(4));
    const letters = deadLetters(t.broker, queue.name);
    let observed = 0;
    const observe = (): Promise<void> => {
      if (++observed % 2 === 0) throw new Error('the log is full');
      return Promise.reject(new Error('the log is full'));
    };
    expect(await letters.replay({ limit: 2, observe })).toMatchObject({ replayed: 2 });
    expect(await letters.drop({ observe })).toMatchObject({ dropped: 2 });
    expect(observed).toBe(4);
    expect(await t.ready(queue.name)).toBe(2);
  },

  'of dead letters that fail again at once, ahead of the others, each is sent once by each replay, and so are the others':
    async (t) => {
      const queue = await t.declare();
      const plain = numbered(30, 'plain-');
      for (const id of plain) await t.broker.publish(addressOf(dead(queue)), message({ id }));
      // Alike in everything.
      const urgent = message({ id: 'urgent', priority: 9 });
      for (let n = 0; n < 10; n++) await t.broker.publish(addressOf(dead(queue)), urgent);
      await t.untilCounted(dead(queue), { ready: 40 });
      const handled: string[] = [];
      const failure = { code: 'failed', error: 'still no' } as const;
      // The clock of this worker is an hour behind that of the replay.
      const deadAt = new Date(Date.now() - 3_600_000);
      await t.broker.subscribe(queue.name, { prefetch: 10 }, async (delivery) => {
        const { id, headers } = delivery.message;
        handled.push(id);
        if (id === 'urgent') {
          const history = deadLetterHeaders(headers, { queue: queue.name, attempt: 1, failure, deadAt });
          await t.broker.publish(addressOf(dead(queue)), { ...delivery.message, headers: history });
        }
        delivery.ack();
      });
      // At this rate the urgent ones are dead again, ahead of the others, before a second part is taken.
      const one = deadLetters(t.broker, queue.name);
      expect(await one.replay({ rate: 200 })).toMatchObject({ total: 40, replayed: 40 });
      await t.untilCounted(dead(queue), { ready: 10 });
      expect(handled.filter((id) => id !== 'urgent').sort()).toEqual([...plain].sort());
      expect(handled.length).toBe(40);

      // Two at once: none takes what the other's sending brings back for more than once.
      await Promise.all([one.replay(), deadLetters(t.broker, queue.name).replay()]);
      await t.untilCounted(dead(queue), { ready: 10 });
      expect(handled.length).toBeLessThanOrEqual(60);
      // The next replay takes those that carry the marks of earlier ones.
      expect(await one.replay()).toMatchObject({ total: 10, replayed: 10 });
    },

  'a dry run changes nothing': async (t) => {
    const ids = numbered(30);
    const queue = await queueWithDead(t, ids);
    const letters = deadLetters(t.broker, queue.name);
    expect(await letters.replay({ dryRun: true })).toMatchObject({ replayed: 30 });
    expect(await letters.drop({ dryRun: true })).toMatchObject({ dropped: 30 });
    expect(await idsIn(t, dead(queue), 30)).toEqual(ids);
    expect(await t.ready(queue.name)).toBe(0);
  },

  'drop removes the selected dead letters, and the rest keep their order': async (t) => {
    const ids = numbered(90);
    const queue = await queueWithDead(t, ids);
    const letters = deadLetters(t.broker, queue.name);
    const everyThird = ids.filter((_, index) => index % 3 === 0);
    expect(await letters.drop({ ids: everyThird })).toEqual({ total: 90, scanned: 90, dropped: 30 });
    const left = ids.filter((_, index) => index % 3 !== 0);
    expect(await idsIn(t, dead(queue), 60)).toEqual(left);
    const everySecond = left.filter((_, index) => index % 2 === 0);
    expect(await letters.replay({ ids: everySecond, limit: 10 })).toMatchObject({ replayed: 10 });
    const taken = everySecond.slice(0, 10);
    expect(await idsIn(t, queue.name, 10)).toEqual(taken);
    expect(await idsIn(t, dead(queue), 50)).toEqual(left.filter((id) => !taken.includes(id)));
  },

  'an aborted replay has replayed what it reported, and leaves the rest in order': async (t) => {
    const ids = numbered(40);
    const queue = await queueWithDead(t, ids);
    const abort = new AbortController();
    let told = 0;
    const replaying = deadLetters(t.broker, queue.name).replay({
      rate: 200,
      signal: abort.signal,
      observe: () => {
        if (++told === 18) abort.abort();
      },
    });
    await rejection(replaying, 'ABORTED');
    expect(told).toBeLessThan(40);
    expect(await idsIn(t, queue.name, told)).toEqual(ids.slice(0, told));
    expect(await idsIn(t, dead(queue), 40 - told)).toEqual(ids.slice(told));
  },

  'a replay ends if the queue has no room in time': async (t) => {
    const queue = await queueWithDead(t, numbered(5));
    const small = await t.declare({ capacity: 2 });
    const kept = await t.fill(small);
    const letters = deadLetters(t.broker, queue.name);
    await rejection(letters.replay({ to: small.name, timeoutMs: 300 }), 'TIMEOUT');
    expect(await idsIn(t, dead(queue), 5)).toEqual(numbered(5));
    await untilAsserted(async () => expect(await t.ready(small.name)).toBe(kept.length));
  },
};

/** Without what the backend itself puts there for every message. */
function ownHeaders({ message: { headers } }: Delivery): MessageHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'x-acquired-count'));
}
