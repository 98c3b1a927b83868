import { expect } from 'vitest';
import { isQueueError } from '../../../src/errors.js';
import { rejection, watch } from '../../support/rejection.js';
import { numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

export const capacityCases: Cases = {
  'with noWait a publish to a full queue rejects with FULL, and stores nothing': async (t) => {
    const queue = await t.declare({ capacity: 5 });
    const stored = await t.fill(queue);
    if (t.subject.exactCapacity) expect(stored).toHaveLength(5);
    expect(stored.length).toBeGreaterThanOrEqual(5);
    await rejection(t.publish(queue, 'refused', { noWait: true }), 'FULL');
    const inbox = await t.inbox(queue);
    expect(await inbox.ackNext(stored.length)).toEqual(stored);
    await t.publish(queue, 'after');
    expect(await inbox.ackNext(1)).toEqual(['after']);
  },

  'publish waits at capacity, and continues when there is room': async (t) => {
    const queue = await t.declare({ capacity: 5 });
    const stored = await t.fill(queue);
    const waiting = t.publish(queue, 'waiting');
    const watched = watch(waiting);
    await rejection(t.publish(queue, 'probe', { timeoutMs: 200 }), 'TIMEOUT');
    expect(watched.state).toBe('pending');
    const inbox = await t.inbox(queue);
    expect(await inbox.ackNext(stored.length + 1)).toEqual([...stored, 'waiting']);
    await waiting;
  },

  'waiting publishes keep their order': async (t) => {
    const queue = await t.declare({ capacity: 5 });
    const stored = await t.fill(queue);
    const late = numbered(20, 'late');
    const waiting = late.map((id) => t.publish(queue, id));
    const inbox = await t.inbox(queue, { prefetch: 1 });
    expect(await inbox.ackNext(stored.length + late.length)).toEqual([...stored, ...late]);
    await Promise.all(waiting);
  },

  'a time limit ends the wait with TIMEOUT, and nothing was stored': async (t) => {
    const queue = await t.declare({ capacity: 2 });
    const stored = await t.fill(queue);
    const before = performance.now();
    await rejection(t.publish(queue, 'late', { timeoutMs: 100 }), 'TIMEOUT');
    // The rest of a longer limit: the error names what its caller knows.
    const rest = await rejection(t.publish(queue, 'late', { timeoutMs: 20.5, limitMs: 1000 }), 'TIMEOUT');
    expect(rest.message).toContain('within 1000 ms');
    // Timers may fire a fraction of a millisecond early.
    expect(performance.now() - before).toBeGreaterThanOrEqual(99);
    const inbox = await t.inbox(queue);
    expect(await inbox.ackNext(stored.length)).toEqual(stored);
    await t.publish(queue, 'after');
    expect(await inbox.ackNext(1)).toEqual(['after']);
  },

  'a signal ends the wait with ABORTED, and nothing was stored': async (t) => {
    const queue = await t.declare({ capacity: 2 });
    const stored = await t.fill(queue);
    const reason = new Error('the request was cancelled');
    const controller = new AbortController();
    const publishing = t.publish(queue, 'aborted', { signal: controller.signal });
    const watched = watch(publishing);
    await rejection(t.publish(queue, 'probe', { timeoutMs: 100 }), 'TIMEOUT');
    expect(watched.state).toBe('pending');
    controller.abort(reason);
    expect((await rejection(publishing, 'ABORTED')).cause).toBe(reason);
    const inbox = await t.inbox(queue);
    expect(await inbox.ackNext(stored.length)).toEqual(stored);
    await t.publish(queue, 'after');
    expect(await inbox.ackNext(1)).toEqual(['after']);
  },

  'a publish with an aborted signal stores nothing, even if there is room': async (t) => {
    const queue = await t.declare();
    await rejection(t.publish(queue, 'never', { signal: AbortSignal.abort() }), 'ABORTED');
    expect(await t.ready(queue)).toBe(0);
  },

  'a publish that gives up does not hold up those behind it': async (t) => {
    const queue = await t.declare({ capacity: 2 });
    const stored = await t.fill(queue);
    const controller = new AbortController();
    const first = t.publish(queue, 'first', { signal: controller.signal });
    const second = t.publish(queue, 'second');
    controller.abort();
    await rejection(first, 'ABORTED');
    const inbox = await t.inbox(queue);
    expect(await inbox.ackNext(stored.length + 1)).toEqual([...stored, 'second']);
    await second;
  },

  'purge makes room for waiting publishes': async (t) => {
    const queue = await t.declare({ capacity: 3 });
    const stored = await t.fill(queue);
    const waiting = t.publish(queue, 'waiting');
    expect(await t.broker.purge(queue.name)).toBeGreaterThanOrEqual(stored.length);
    await waiting;
  },

  'a fast producer gets no further ahead of a slow subscriber than the capacity': async (t) => {
    const queue = await t.declare({ capacity: 10 });
    const ids = numbered(100);
    let published = 0;
    const producing = (async () => {
      for (const id of ids) {
        await t.publish(queue, id);
        published++;
      }
    })();
    const inbox = await t.inbox(queue, { prefetch: 1 });
    for (const [handled, id] of ids.entries()) {
      const delivery = await inbox.next();
      expect(delivery.message.id).toBe(id);
      // Besides the queue's own: the one that is being handled, and what RabbitMQ takes before it says stop.
      const ahead = t.subject.exactCapacity ? 11 : 13;
      expect(published - handled).toBeLessThanOrEqual(ahead);
      delivery.ack();
    }
    await producing;
  },

  'a full queue does not stop its own retries': async (t) => {
    const queue = await t.declare({ capacity: 3 });
    const stored = await t.fill(queue);
    const waiting = t.publish(queue, 'waiting');
    const inbox = await t.inbox(queue, { prefetch: 1 });
    const first = await inbox.next();
    // If there is no room for it, it returns to its queue: either way it is redelivered.
    await first.retry(0, { code: 'failed', error: 'not yet' }).catch((error) => {
      if (!isQueueError(error)) throw error;
    });
    const ids = new Set(await inbox.ackNext(stored.length + 1));
    expect(ids).toEqual(new Set([...stored, 'waiting']));
    await waiting;
  },

  'a dead letter waits while its queue is full, and others go on meanwhile': async (t) => {
    const queue = await t.declare({ deadLetter: { capacity: 2 } });
    const dead = `${queue.name}.dead`;
    const lying = await t.fill(dead);
    await t.publishAll(queue, ['hopeless', 'good']);
    const inbox = await t.inbox(queue);
    const [hopeless, good] = await inbox.take(2);
    const burying = hopeless?.deadLetter({ code: 'rejected', error: 'never' }) ?? Promise.reject();
    const watched = watch(burying);
    // It is settled, though it is not stored yet: a second verb does nothing.
    hopeless?.release();
    hopeless?.ack();
    good?.ack();
    await t.publish(queue, 'more');
    expect(await inbox.ackNext(1)).toEqual(['more']);
    expect(watched.state).toBe('pending');
    const morgue = await t.inbox(dead);
    expect(await morgue.ackNext(lying.length + 1)).toEqual([...lying, 'hopeless']);
    await burying;
    await inbox.subscription.close();
    expect(await t.ready(queue)).toBe(0);
  },

  'a dead letter that still waits for room returns to its queue when its subscription closes': async (t) => {
    const queue = await t.declare({ deadLetter: { capacity: 2 } });
    await t.fill(`${queue.name}.dead`);
    await t.publish(queue, 'hopeless');
    const inbox = await t.inbox(queue);
    const burying = (await inbox.next()).deadLetter({ code: 'rejected', error: 'never' });
    const settled = Promise.allSettled([burying]);
    await inbox.subscription.close();
    expect((await settled)[0].status).toBe('rejected');
    const again = await (await t.inbox(queue)).next();
    expect(again).toMatchObject({ redelivered: true });
    expect(again.message.id).toBe('hopeless');
    again.ack();
    await t.untilCounted(queue, { ready: 0 });
  },
};
