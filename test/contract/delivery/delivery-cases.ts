import { expect } from 'vitest';
import type { Delivery } from '../../../src/broker.js';
import { eventually } from '../../support/eventually.js';
import { type Inbox, idsOf } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

export const deliveryCases: Cases = {
  'a subscriber holds at most its prefetch': async (t) => {
    const queue = await t.declare();
    const ids = numbered(30);
    await t.publishAll(queue, ids);
    const inbox = await t.inbox(queue, { prefetch: 4 });
    const held = await inbox.take(4);
    expect(await t.ready(queue)).toBe(26);
    expect(inbox.untaken).toEqual([]);
    held[2]?.ack();
    expect((await inbox.next()).message.id).toBe('m4');
    expect(await t.ready(queue)).toBe(25);
    expect(inbox.untaken).toEqual([]);
  },

  'prefetch holds through every kind of settlement': async (t) => {
    const queue = await t.declare();
    const ids = numbered(60);
    const failure = { code: 'failed', error: 'again' } as const;
    let held = 0;
    let mostHeld = 0;
    const done = new Set<string>();
    const settle = async (delivery: Delivery) => {
      const turn =
        delivery.attempt === 1 && !delivery.redelivered ? Number(delivery.message.id.slice(1)) % 4 : 0;
      held--;
      if (turn === 1) delivery.release();
      else if (turn === 2) await delivery.retry(0, failure);
      else if (turn === 3) await delivery.deadLetter(failure);
      else delivery.ack();
      if (turn === 0 || turn === 3) done.add(delivery.message.id);
    };
    // Nothing is settled before as many are held as may be, however slowly the first ones come in.
    let isFull: () => void = () => {};
    const full = new Promise<void>((resolve) => {
      isFull = resolve;
    });
    await t.broker.subscribe(queue.name, { prefetch: 3 }, (delivery) => {
      held++;
      mostHeld = Math.max(mostHeld, held);
      if (held === 3) isFull();
      full.then(() => setImmediate(() => settle(delivery)));
    });
    await Promise.all(ids.map((id) => t.publish(queue, id)));
    await eventually(() => done.size === ids.length);
    expect(mostHeld).toBe(3);
  },

  'subscribers take turns': async (t) => {
    const queue = await t.declare();
    const inboxes = await Promise.all([1, 2, 3].map(() => t.inbox(queue, { prefetch: 100 })));
    await t.publishAll(queue, numbered(60));
    await eventually(() => inboxes.reduce((sum, inbox) => sum + inbox.deliveries.length, 0) === 60);
    // Each could have taken all of them.
    for (const inbox of inboxes) expect(inbox.deliveries.length).toBeGreaterThanOrEqual(10);
  },

  'a subscriber at its prefetch is skipped': async (t) => {
    const queue = await t.declare();
    const inboxes = await Promise.all([1, 2, 3].map(() => t.inbox(queue, { prefetch: 1 })));
    await t.publishAll(queue, ['a', 'b', 'c']);
    const deliveries = await Promise.all(inboxes.map((inbox) => inbox.next()));
    expect(new Set(idsOf(deliveries))).toEqual(new Set(['a', 'b', 'c']));
  },

  'competing subscribers share the messages: each gets some, and none is delivered twice': async (t) => {
    const queue = await t.declare();
    const received: string[][] = [[], [], []];
    for (const ids of received) {
      await t.broker.subscribe(queue.name, { prefetch: 2 }, (delivery) => {
        ids.push(delivery.message.id);
        setImmediate(() => delivery.ack());
      });
    }
    const ids = numbered(300);
    await Promise.all(ids.map((id) => t.publish(queue, id)));
    await eventually(() => received.flat().length >= ids.length);
    expect(received.flat().sort()).toEqual([...ids].sort());
    for (const share of received) expect(share.length).toBeGreaterThan(0);
  },

  'a subscriber that settles nothing does not hold up the others': async (t) => {
    const queue = await t.declare();
    const idle = await t.inbox(queue, { prefetch: 5 });
    const busy = await t.inbox(queue, { prefetch: 5 });
    const ids = numbered(50);
    await t.publishAll(queue, ids);
    await idle.take(5);
    await busy.ackNext(45);
    expect(new Set(idsOf([...idle.deliveries, ...busy.deliveries]))).toEqual(new Set(ids));
  },

  'ack removes the message': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['a', 'b']);
    const first = await t.inbox(queue);
    const [a] = await first.take(2);
    a?.ack();
    await first.subscription.close();
    const second = await t.inbox(queue);
    expect(await second.ackNext(1)).toEqual(['b']);
    await second.subscription.close();
    expect(await t.ready(queue)).toBe(0);
  },

  'acknowledgements out of order remove exactly their messages': async (t) => {
    const queue = await t.declare();
    const ids = numbered(40);
    await t.publishAll(queue, ids);
    const first = await t.inbox(queue);
    const deliveries = await first.take(40);
    const isEven = (id: string) => Number(id.slice(1)) % 2 === 0;
    for (const delivery of deliveries.toReversed()) if (isEven(delivery.message.id)) delivery.ack();
    await first.subscription.close();
    const second = await t.inbox(queue);
    const rest = await second.ackNext(20);
    expect(rest.sort()).toEqual(ids.filter((id) => !isEven(id)).sort());
    await second.subscription.close();
    expect(await t.ready(queue)).toBe(0);
  },

  'cancel ends the deliveries, and outstanding ones can still be settled': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['a', 'b', 'c', 'd']);
    const first = await t.inbox(queue, { prefetch: 3 });
    const [a, b, c] = await first.take(3);
    await first.subscription.cancel();
    a?.ack();
    b?.release();
    await c?.deadLetter({ code: 'rejected', error: 'no' });
    await t.publish(queue, 'e');
    const second = await t.inbox(queue);
    const rest = await second.take(3);
    expect(new Set(idsOf(rest))).toEqual(new Set(['b', 'd', 'e']));
    expect(first.deliveries).toHaveLength(3);
    expect((await (await t.inbox(`${queue.name}.dead`)).next()).message.id).toBe('c');
    await first.subscription.cancel();
    await first.subscription.close();
  },

  'close returns unsettled messages to others, redelivered and at no cost': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['a', 'b', 'c']);
    const first = await t.inbox(queue, { prefetch: 2 });
    await first.take(2);
    await first.subscription.close();
    const second = await t.inbox(queue);
    const seen = new Map((await second.take(3)).map((delivery) => [delivery.message.id, delivery]));
    for (const id of ['a', 'b']) expect(seen.get(id)).toMatchObject({ redelivered: true, attempt: 1 });
    expect(seen.get('c')).toMatchObject({ redelivered: false, attempt: 1 });
  },

  'a settlement after close does nothing': async (t) => {
    const queue = await t.declare();
    const failure = { code: 'failed', error: 'late' } as const;
    await t.publishAll(queue, ['a', 'b', 'c', 'd']);
    const first = await t.inbox(queue);
    const [a, b, c, d] = await first.take(4);
    await first.subscription.close();
    a?.ack();
    b?.release();
    await Promise.allSettled([c?.retry(0, failure), d?.deadLetter(failure)]);
    const second = await t.inbox(queue);
    expect((await second.ackNext(4)).sort()).toEqual(['a', 'b', 'c', 'd']);
    await second.subscription.close();
    expect(await t.ready(queue)).toBe(0);
    expect(await t.ready(`${queue.name}.dead`)).toBe(0);
  },

  'a subscription ends when it is closed, once, however often': async (t) => {
    const queue = await t.declare();
    const { subscription } = await t.inbox(queue);
    await Promise.all([subscription.close(), subscription.cancel(), subscription.close()]);
    await subscription.ended;
    await subscription.close();
    await t.untilCounted(queue, { consumers: 0 });
  },

  'a closed subscription leaves the others alone': async (t) => {
    const queue = await t.declare();
    const staying = await t.inbox(queue);
    const going = await t.inbox(queue);
    await going.subscription.close();
    await t.publishAll(queue, ['a', 'b', 'c']);
    expect(await staying.ackNext(3)).toEqual(['a', 'b', 'c']);
    expect(going.deliveries).toEqual([]);
  },

  'subscribing to a missing queue is QUEUE_MISSING': async (t) => {
    const missing = t.queueName();
    const subscribing: Promise<Inbox> = t.inbox(missing);
    expect((await rejection(subscribing, 'QUEUE_MISSING')).message).toContain(missing);
  },

  'an aborted signal starts no subscription': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    await rejection(t.inbox(queue, { signal: AbortSignal.abort() }), 'ABORTED');
    expect(await t.broker.inspect(queue.name)).toMatchObject({ ready: 1, consumers: 0 });
    expect(await (await t.inbox(queue)).next()).toMatchObject({ redelivered: false });
  },
};
