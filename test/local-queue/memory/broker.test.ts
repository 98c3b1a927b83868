import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { Backend, Delivery, Failure, Message, PublishOptions } from '../../../src/broker.js';
import { openMemoryBroker } from '../../../src/local-queue/memory/broker.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import { rejection, watch } from '../../support/rejection.js';

// What only this backend does, or does in a way of its own. The general promises are in test/contract/.

const failure: Failure = { code: 'failed', error: 'no' };

let broker: Backend;
beforeEach(() => {
  broker = openMemoryBroker();
});
afterEach(async () => {
  vi.useRealTimers();
  await broker.close();
});

function declare(options?: QueueOptions, name = 'q'): Promise<void> {
  return broker.declare(defineQueue(name, z.unknown(), options).spec);
}

function publish(id: string, more: Partial<Message> = {}, options?: PublishOptions): Promise<boolean> {
  const message: Message = { id, contentType: '', headers: {}, body: id, ...more };
  return broker.publish({ exchange: '', routingKey: 'q' }, message, options);
}

async function publishAll(...ids: string[]): Promise<void> {
  for (const id of ids) await publish(id);
}

async function ready(queue = 'q'): Promise<number> {
  return (await broker.inspect(queue)).ready;
}

describe('messages are never shared references', () => {
  test('later changes of the bytes and headers by the sender have no effect', async () => {
    await declare();
    const body = Buffer.from('as sent');
    const headers = { kind: 'as sent' };
    await publish('a', { body, headers });
    body.fill('x');
    headers.kind = 'changed';

    const { message } = await (await Inbox.open(broker, 'q')).next();
    expect(Buffer.from(message.body).toString()).toBe('as sent');
    expect(message.headers).toEqual({ kind: 'as sent' });
  });

  test('changes of the bytes by a consumer never reach the next delivery', async () => {
    await declare();
    await publish('a', { body: new Uint8Array([1, 2, 3]) });
    const inbox = await Inbox.open(broker, 'q');
    const first = await inbox.next();
    (first.message.body as Uint8Array).fill(0);
    first.release();
    const second = await inbox.next();
    expect(second.message.body).toEqual(new Uint8Array([1, 2, 3]));

    (second.message.body as Uint8Array).fill(0);
    await second.retry(0, failure);
    const third = await inbox.next();
    expect(third.message.body).toEqual(new Uint8Array([1, 2, 3]));

    (third.message.body as Uint8Array).fill(0);
    await third.deadLetter(failure);
    const letter = await (await Inbox.open(broker, 'q.dead')).next();
    expect(letter.message.body).toEqual(new Uint8Array([1, 2, 3]));
  });

  test('headers are frozen', async () => {
    await declare();
    await publish('a', { headers: { kind: 'x' } });
    const { message } = await (await Inbox.open(broker, 'q')).next();

    expect(Object.isFrozen(message.headers)).toBe(true);
  });

  test.each([
    ['a priority of 32', { priority: 32 }],
    ['a priority of -1', { priority: -1 }],
    ['a priority of 1.5', { priority: 1.5 }],
    ['a header that is a function', { headers: { n: (() => {}) as never } }],
    ['a body that is neither text nor bytes', { body: { n: 1 } as unknown as string }],
  ])('%s is an INVALID_MESSAGE', async (_, more: Partial<Message>) => {
    await declare();

    await rejection(publish('a', more), 'INVALID_MESSAGE');
    expect(await ready()).toBe(0);
  });
});

test('an exchange other than the default one is UNROUTABLE, and the error says that there is none', async () => {
  await declare();
  const message: Message = { id: 'a', contentType: '', headers: {}, body: '' };
  const error = await rejection(broker.publish({ exchange: 'logs', routingKey: 'q' }, message), 'UNROUTABLE');

  expect(error.message).toContain('there is no exchange "logs"');
});

describe('capacity', () => {
  test('ready, unsettled and delayed messages all count', async () => {
    await declare({ capacity: 3 });
    await publishAll('a', 'b', 'c');
    const inbox = await Inbox.open(broker, 'q', { prefetch: 2 });
    const [a, b] = (await inbox.take(2)) as [Delivery, Delivery];
    await a.retry(60_000, failure);
    await rejection(publish('d', {}, { noWait: true }), 'FULL');

    const waiting = publish('d');
    b.ack();
    await waiting;
    await rejection(publish('e', {}, { noWait: true }), 'FULL');
  });

  test('room for one lets one of several publishers in, and the queue never holds more', async () => {
    await declare({ capacity: 2 });
    await publishAll('a', 'b');
    const waiting = ['c', 'd', 'e'].map((id) => watch(publish(id)));
    const inbox = await Inbox.open(broker, 'q', { prefetch: 1 });
    for (const admitted of [1, 2, 3]) {
      (await inbox.next()).ack();
      await turn();
      expect(waiting.map(({ state }) => state).filter((state) => state === 'resolved')).toHaveLength(
        admitted,
      );
      // One is ready and one unsettled.
      expect(await ready()).toBe(1);
    }
  });

  test('a returning message needs no room, at once or later', async () => {
    await declare({ capacity: 1 });
    await publish('a');
    const waiting = watch(publish('b'));
    const inbox = await Inbox.open(broker, 'q');
    (await inbox.next()).release();
    await (await inbox.next()).retry(0, failure);
    await (await inbox.next()).retry(1, failure);
    const last = await inbox.next();
    expect([last.message.id, last.attempt, waiting.state]).toEqual(['a', 3, 'pending']);

    last.ack();
    expect((await inbox.next()).message.id).toBe('b');
  });

  test('it is 1024 unless set by the queue or the broker', async () => {
    await declare();
    for (let i = 0; i < 1024; i++) await publish(`m${i}`);
    await rejection(publish('one more', {}, { noWait: true }), 'FULL');

    await broker.close();
    broker = openMemoryBroker({ defaultCapacity: 1 });
    await declare();
    await publish('a');
    await rejection(publish('b', {}, { noWait: true }), 'FULL');
  });

  test('purging makes room for waiting sends', async () => {
    await declare({ capacity: 2 });
    await publishAll('a', 'b');
    const waiting = publish('c');

    expect(await broker.purge('q')).toBe(2);
    await waiting;
    expect(await ready()).toBe(1);
  });
});

describe('a full dead-letter queue', () => {
  async function twoFailing(): Promise<{ inbox: Inbox; second: Delivery; moving: Promise<void> }> {
    await declare({ capacity: 2, deadLetter: { capacity: 1 } });
    await publishAll('a', 'b');
    const inbox = await Inbox.open(broker, 'q');
    const [first, second] = (await inbox.take(2)) as [Delivery, Delivery];
    await first.deadLetter(failure);
    return { inbox, second, moving: second.deadLetter(failure) };
  }

  test('makes deadLetter wait, with the message keeping its place, until there is room', async () => {
    const { second, moving } = await twoFailing();
    const watched = watch(moving);
    second.ack();
    second.release();
    await publish('c');
    await rejection(publish('d', {}, { noWait: true }), 'FULL');
    expect(watched.state).toBe('pending');

    const dead = await Inbox.open(broker, 'q.dead');
    (await dead.next()).ack();
    await moving;
    expect((await dead.next()).message.id).toBe('b');
    await publish('d', {}, { noWait: true });
  });

  test('lets go of the message when the subscription closes', async () => {
    const { inbox, moving } = await twoFailing();
    const error = rejection(moving, 'CLOSED');
    await inbox.subscription.close();
    await error;

    expect(await (await Inbox.open(broker, 'q')).next()).toMatchObject({
      message: { id: 'b' },
      redelivered: true,
      attempt: 1,
    });
    expect(await ready('q.dead')).toBe(1);
  });

  test('has the message once when room comes in the moment in which the subscription closes', async () => {
    const { inbox, moving } = await twoFailing();
    const purged = broker.purge('q.dead');
    const closed = inbox.subscription.close();
    await Promise.all([purged, closed, moving]);

    expect([await ready('q'), await ready('q.dead')]).toEqual([0, 1]);
  });

  test('makes deadLetter reject when the broker closes', async () => {
    const { moving } = await twoFailing();
    const error = rejection(moving, 'CLOSED');
    await broker.close();
    await error;
  });
});

describe('order', () => {
  test('returned messages come before undelivered ones, in their old order', async () => {
    await declare();
    await publishAll('a', 'b', 'c', 'd');
    const first = await Inbox.open(broker, 'q', { prefetch: 3 });
    const [a, b, c] = (await first.take(3)) as [Delivery, Delivery, Delivery];
    await first.subscription.cancel();
    c.release();
    a.release();
    b.release();

    expect(idsOf(await (await Inbox.open(broker, 'q')).take(4))).toEqual(['a', 'b', 'c', 'd']);
  });

  test('a retry comes at the end of its priority, before lower priorities', async () => {
    await declare();
    await publish('a', { priority: 9 });
    await publish('b', { priority: 9 });
    await publish('c', { priority: 1 });
    const inbox = await Inbox.open(broker, 'q', { prefetch: 1 });
    await (await inbox.next()).retry(0, failure);

    expect(await inbox.ackNext(3)).toEqual(['b', 'a', 'c']);
  });
});

describe('several subscribers', () => {
  test('are served in turn; a subscriber without free prefetch is skipped', async () => {
    await declare();
    const inboxes = [
      await Inbox.open(broker, 'q'),
      await Inbox.open(broker, 'q', { prefetch: 1 }),
      await Inbox.open(broker, 'q'),
    ];
    await publishAll('0', '1', '2', '3', '4', '5', '6');
    await turn();

    expect(inboxes.map((inbox) => idsOf(inbox.deliveries))).toEqual([
      ['0', '3', '5'],
      ['1'],
      ['2', '4', '6'],
    ]);
  });

  test('keep their turns when one leaves', async () => {
    await declare();
    const inboxes = [
      await Inbox.open(broker, 'q'),
      await Inbox.open(broker, 'q'),
      await Inbox.open(broker, 'q'),
    ];
    await publishAll('0', '1');
    await turn();
    await inboxes[0]?.subscription.cancel();
    await publishAll('2', '3');
    await turn();

    expect(inboxes.map((inbox) => idsOf(inbox.deliveries))).toEqual([['0'], ['1', '3'], ['2']]);
  });
});

describe('deliveries and the event loop', () => {
  test('onDelivery never runs inside publish, subscribe or a settlement', async () => {
    await declare();
    const calls: string[] = [];
    let inside = '';
    const within = <R>(call: string, run: () => R): R => {
      inside = call;
      const result = run();
      inside = '';
      return result;
    };
    publish('a');
    within('subscribe', () =>
      broker.subscribe('q', { prefetch: 1 }, (delivery) => {
        calls.push(`${delivery.message.id} in '${inside}'`);
        if (calls.length < 4) within('ack', () => delivery.ack());
      }),
    );
    within('publish', () => publish('b'));
    await turn();
    within('publish', () => publish('c'));
    within('publish', () => publish('d'));
    await turn();

    expect(calls).toEqual(["a in ''", "b in ''", "c in ''", "d in ''"]);
  });

  test('a tight loop of publishing and acknowledging lets timers fire', async () => {
    await declare({ capacity: Number.POSITIVE_INFINITY });
    await broker.subscribe('q', { prefetch: 10 }, (delivery) => delivery.ack());
    let fired = false;
    setTimeout(() => {
      fired = true;
    }, 1);
    let published = 0;
    while (!fired && published < 5_000_000) await publish(`m${published++}`);

    expect(fired).toBe(true);
    // Nor does the queue grow because deliveries are held up more than publishing is.
    expect(await ready()).toBeLessThan(1000);
  });

  test('a long backlog does not hold up the event loop, however fast it is acknowledged', async () => {
    await declare({ capacity: Number.POSITIVE_INFINITY });
    for (let i = 0; i < 5000; i++) await publish(`m${i}`);
    let delivered = 0;
    await broker.subscribe('q', { prefetch: 65_535 }, (delivery) => {
      delivered++;
      delivery.ack();
    });
    await turn();

    expect(delivered).toBeGreaterThan(0);
    expect(delivered).toBeLessThan(5000);
  });

  test('a handler runs in the asynchronous context of a subscriber, not of a publisher', async () => {
    const context = new AsyncLocalStorage<string>();
    await context.run('declarer', () => declare());
    const seen: (string | undefined)[] = [];
    await context.run('subscriber', () =>
      broker.subscribe('q', { prefetch: 1 }, (delivery) => {
        seen.push(context.getStore());
        context.run('handler', () => delivery.ack());
      }),
    );
    for (const id of ['a', 'b', 'c']) await context.run(`publisher of ${id}`, () => publish(id));
    await turn();

    expect(seen).toEqual(['subscriber', 'subscriber', 'subscriber']);
  });

  test('an onDelivery that throws surfaces as an uncaught exception, and the queue goes on', async () => {
    await declare();
    const bug = new Error('must not throw');
    const seen: string[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve));
    await broker.subscribe('q', { prefetch: 5 }, (delivery) => {
      seen.push(delivery.message.id);
      if (seen.length === 1) throw bug;
    });
    await publishAll('a', 'b');
    const error = await uncaught;
    for (const listener of listeners) process.on('uncaughtException', listener);

    expect(error).toBe(bug);
    expect(seen).toEqual(['a', 'b']);
  });
});

describe('close', () => {
  test('returns exactly the unsettled messages, in whatever order the others were settled', async () => {
    await declare();
    await publishAll('a', 'b', 'c', 'd', 'e', 'f', 'g');
    const inbox = await Inbox.open(broker, 'q', { prefetch: 4 });
    const deliveries = await inbox.take(4);
    for (const position of [0, 3, 1]) deliveries[position]?.ack();
    expect(idsOf(await inbox.take(3))).toEqual(['e', 'f', 'g']);
    await inbox.subscription.close();

    expect(await ready()).toBe(4);
    expect(idsOf(await (await Inbox.open(broker, 'q')).take(4))).toEqual(['c', 'e', 'f', 'g']);
  });

  test('of the broker leaves no timer behind', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await declare({ capacity: 1 });
    await publish('a');
    const waiting = rejection(publish('b', {}, { timeoutMs: 60_000 }), 'CLOSED');
    const inbox = await Inbox.open(broker, 'q');
    await vi.waitFor(() => expect(inbox.deliveries).toHaveLength(1));
    await inbox.deliveries[0]?.retry(60_000, failure);
    expect(vi.getTimerCount()).toBe(2);

    await broker.close();
    await waiting;
    expect(vi.getTimerCount()).toBe(0);
  });

  test('of the broker rejects waiting sends with CLOSED, also if it deletes the queue', async () => {
    await declare({ type: 'classic', autoDelete: true, capacity: 1 });
    await publish('a');
    const waiting = rejection(publish('b'), 'CLOSED');
    await Inbox.open(broker, 'q');
    await broker.close();
    await waiting;
  });

  test('reports lost deliveries to a subscriber, unless it closed itself', async () => {
    await declare();
    await publishAll('a', 'b');
    const first = await Inbox.open(broker, 'q', { prefetch: 1 });
    const second = await Inbox.open(broker, 'q', { prefetch: 1 });
    await Promise.all([first.next(), second.next()]);
    await first.subscription.close();
    await broker.close();

    expect([idsOf(first.lost), idsOf(second.lost)]).toEqual([[], ['b']]);
    await Promise.all([first.subscription.ended, second.subscription.ended]);
  });
});

describe('declare', () => {
  test('a mismatch names the property, the value there, the value wanted, and what to do', async () => {
    await declare({ capacity: 5 });
    const error = await rejection(declare({ capacity: 6 }), 'QUEUE_MISMATCH');

    expect(error.message).toBe(
      "the queue 'q' exists with capacity 5, not 6: define it the same everywhere, or use it as it is with declare: 'existing'",
    );
  });

  test.each<[string, QueueOptions]>([
    ['deadLetter', { deadLetter: false }],
    ['type', { type: 'classic' }],
    ['deliveryLimit', { deliveryLimit: 3 }],
    ['arguments', { arguments: { 'x-single-active-consumer': true } }],
  ])('another %s is a mismatch', async (property, options) => {
    await declare();

    expect((await rejection(declare(options), 'QUEUE_MISMATCH')).message).toContain(property);
  });

  test('the default capacity, said or not, is the same', async () => {
    await declare();
    await declare({ capacity: 1024 });
  });

  test('a refused dead-letter queue leaves the queue undeclared', async () => {
    await declare({ capacity: 5, deadLetter: false }, 'graveyard');
    const error = await rejection(
      declare({ deadLetter: { queue: 'graveyard', capacity: 6 } }),
      'QUEUE_MISMATCH',
    );

    expect(error.message).toContain("the queue 'graveyard' exists with capacity 5, not 6");
    await rejection(broker.inspect('q'), 'QUEUE_MISSING');
  });

  test('a dead-letter queue is read as it is, since its main queue defines it, as on RabbitMQ', async () => {
    await declare();
    await rejection(declare({ deadLetter: false }, 'q.dead'), 'QUEUE_MISMATCH');
    await declare({ deadLetter: false, declare: 'existing' }, 'q.dead');
  });

  test('two queues can share a dead-letter queue, whatever their types', async () => {
    await declare({ deadLetter: 'graveyard' }, 'one');
    await declare({ deadLetter: 'graveyard', type: 'classic' }, 'two');
  });

  test('a queue that is used as it is gets the missing dead-letter queue', async () => {
    await declare({ deadLetter: false });
    await declare({ declare: 'existing' });
    await publish('a');
    await (await (await Inbox.open(broker, 'q')).next()).deadLetter(failure);

    expect(await ready('q.dead')).toBe(1);
  });

  test('a dead-letter queue that was deleted with its last subscriber is created again, for good', async () => {
    await declare({ type: 'classic', autoDelete: true, deadLetter: false }, 'graveyard');
    await declare({ declare: 'if-missing', deadLetter: 'graveyard' });
    await (await Inbox.open(broker, 'graveyard')).subscription.close();
    await publish('a');
    await (await (await Inbox.open(broker, 'q')).next()).deadLetter(failure);
    expect(await ready('graveyard')).toBe(1);
    await (await Inbox.open(broker, 'graveyard')).subscription.close();
    expect(await ready('graveyard')).toBe(1);
  });

  test('messages that return to a deleted queue are gone: they neither expire nor keep a timer', async () => {
    await declare({ type: 'classic', autoDelete: true });
    const expiresAt = Date.now() + 60_000;
    await publish('a', { expiresAt });
    await publish('b');
    const inbox = await Inbox.open(broker, 'q', { prefetch: 2 });
    const [a] = (await inbox.take(2)) as [Delivery, Delivery];
    // It expires only after it was delivered.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: expiresAt + 1 });
    await inbox.subscription.cancel();
    await rejection(broker.inspect('q'), 'QUEUE_MISSING');
    a.release();
    await inbox.subscription.close();
    expect(vi.getTimerCount()).toBe(0);
    expect(await ready('q.dead')).toBe(0);
  });

  test('an auto-delete queue is deleted with its last subscriber, and rejects waiting sends', async () => {
    await declare({ type: 'classic', autoDelete: true, capacity: 1 });
    await publish('a');
    const waiting = rejection(publish('b'), 'UNROUTABLE');
    const [first, second] = [await Inbox.open(broker, 'q'), await Inbox.open(broker, 'q')];
    const delivery = await first.next();
    await first.subscription.cancel();
    expect((await broker.inspect('q')).consumers).toBe(1);

    await second.subscription.close();
    await waiting;
    await rejection(broker.inspect('q'), 'QUEUE_MISSING');
    // Settling what is still out has no effect any more, and does no harm.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await delivery.retry(60_000, failure);
    expect(vi.getTimerCount()).toBe(0);
    await declare({ type: 'classic', autoDelete: true, capacity: 1 });
    expect(await ready()).toBe(0);
  });
});

test('unusable options are refused', async () => {
  expect(() => openMemoryBroker({ maxMessageBytes: 0 })).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION' }),
  );
  expect(() => openMemoryBroker({ capacity: 5 } as object)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION' }),
  );
  await declare({ capacity: 1 });
  await rejection(
    broker.subscribe('q', { prefetch: 0 }, () => {}),
    'INVALID_OPTION',
  );
  await publish('a');
  await rejection(publish('b', {}, { timeoutMs: -1 }), 'INVALID_OPTION');
  const inbox = await Inbox.open(broker, 'q');
  const delivery = await inbox.next();
  await rejection(delivery.retry(-1, failure), 'INVALID_OPTION');
  delivery.ack();
  await publish('c', {}, { noWait: true });
});
