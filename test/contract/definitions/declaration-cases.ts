import { expect } from 'vitest';
import { z } from 'zod';
import type { WaitOptions } from '../../../src/broker.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { createLock } from '../../../src/locks/lock.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

export const declarationCases: Cases = {
  'declare creates the queue and its dead-letter queue': async (t) => {
    const queue = await t.declare();
    expect(await t.broker.inspect(queue.name)).toMatchObject({ ready: 0, consumers: 0 });
    expect(await t.broker.inspect(`${queue.name}.dead`)).toMatchObject({ ready: 0, consumers: 0 });
  },

  'repeated and concurrent declarations change nothing': async (t) => {
    const queue = t.spec({ capacity: 10 });
    await Promise.all(numbered(10).map(() => t.broker.declare(queue)));
    await t.publish(queue, 'a');
    await t.broker.declare(queue);
    expect(await t.ready(queue)).toBe(1);
  },

  'a queue may have any printable name': async (t) => {
    const name = `${t.queueName()} grün/世界?#%41.*👩‍👩‍👧`;
    const queue = t.spec({}, name);
    await t.broker.declare(queue);
    await t.publish(queue, 'a');
    expect(await (await t.inbox(name)).ackNext(1)).toEqual(['a']);
  },

  'QUEUE_MISMATCH names the property, its value on the broker and the one in the definition': async (t) => {
    const queue = await t.declare({ capacity: 123 });
    const other = t.subject.redefines ? t.otherSpec(queue.name) : t.spec({ capacity: 456 }, queue.name);
    const { message } = await rejection(t.broker.declare(other), 'QUEUE_MISMATCH');
    expect(message).toContain(queue.name);
    expect(message).toMatch(/capacity|x-max-length|type/);
    expect(message).toMatch(/123|quorum/);
    expect(message).toMatch(/456|classic/);
    expect(message).toContain('existing');
  },

  'a new capacity takes effect, or is QUEUE_MISMATCH': async (t) => {
    const queue = await t.declare({ capacity: 123 });
    const other = t.spec({ capacity: 3 }, queue.name);
    if (t.subject.redefines) {
      await t.broker.declare(other);
      expect((await t.fill(queue)).length).toBe(3);
      await t.broker.declare(t.spec({ capacity: 5 }, queue.name));
      expect((await t.fill(queue)).length).toBe(2);
    } else {
      await rejection(t.broker.declare(other), 'QUEUE_MISMATCH');
    }
  },

  'a new dead-letter queue takes effect, or is QUEUE_MISMATCH': async (t) => {
    const queue = await t.declare({ deadLetter: false });
    const dead = t.queueName();
    const declared = t.broker.declare(t.spec({ deadLetter: dead }, queue.name));
    if (!t.subject.redefines) {
      await rejection(declared, 'QUEUE_MISMATCH');
      return;
    }
    await declared;
    await t.publish(queue, 'a');
    await (await (await t.inbox(queue)).next()).deadLetter({ code: 'failed', error: 'no' });
    expect(await (await t.inbox(dead)).ackNext(1)).toEqual(['a']);
  },

  'a refused declaration leaves the queue as it was': async (t) => {
    const queue = await t.declare({ capacity: 3 });
    await rejection(t.broker.declare(t.otherSpec(queue.name)), 'QUEUE_MISMATCH');
    await t.broker.declare(queue);
    const stored = await t.fill(queue);
    expect(stored.length).toBeLessThan(20);
  },

  'a refused declaration affects nothing else': async (t) => {
    const queue = await t.declare({ capacity: 50 });
    const inbox = await t.inbox(queue, { prefetch: 5 });
    const unsettled = t.publish(queue, 'before').then(() => inbox.next());
    const publishing = Promise.all(numbered(30).map((id) => t.publish(queue, id)));
    const refused = [1, 2, 3].map(() =>
      rejection(t.broker.declare(t.otherSpec(queue.name)), 'QUEUE_MISMATCH'),
    );
    const missing = rejection(t.broker.declare(t.spec({ declare: 'existing' })), 'QUEUE_MISSING');
    await Promise.all([...refused, missing, publishing]);
    (await unsettled).ack();
    expect(await inbox.ackNext(30)).toEqual(numbered(30));
    expect(inbox.lost).toEqual([]);
  },

  "'existing' uses a queue as it is, and is QUEUE_MISSING if there is none": async (t) => {
    const missing = t.spec({ declare: 'existing' });
    expect((await rejection(t.broker.declare(missing), 'QUEUE_MISSING')).message).toContain(missing.name);
    const queue = await t.declare({ capacity: 3, deadLetter: false });
    const asItIs = t.spec({ declare: 'existing', capacity: 1000 }, queue.name);
    await t.broker.declare(asItIs);
    const stored = await t.fill(queue);
    expect(stored.length).toBeLessThan(20);
  },

  "'if-missing' uses a queue as it is, and creates it if there is none": async (t) => {
    const created = t.spec({ declare: 'if-missing', capacity: 3 });
    await t.broker.declare(created);
    const asItIs = t.spec({ declare: 'if-missing', capacity: 1000, deadLetter: false }, created.name);
    await t.broker.declare(asItIs);
    const stored = await t.fill(created);
    expect(stored.length).toBeLessThan(20);
    const inbox = await t.inbox(created);
    expect(await inbox.ackNext(stored.length)).toEqual(stored);
  },

  "a failed message of a queue taken as it is has its dead letter in '<queue>.dead'": async (t) => {
    const queue = await t.declare();
    const other = await t.open();
    // Where other() is a private broker, the queue is new to it: either way it is there after 'if-missing'.
    await other.declare(t.spec({ declare: 'if-missing' }, queue.name));
    await t.broker.declare(t.spec({ declare: 'existing' }, queue.name));
    await t.publish(queue, 'a');
    const delivery = await (await t.inbox(queue)).next();
    await delivery.deadLetter({ code: 'failed', error: 'no' });
    expect(await (await t.inbox(`${queue.name}.dead`)).ackNext(1)).toEqual(['a']);
  },

  'a definition in place of the name of a queue is refused, and the error says where the name is': async (
    t,
  ) => {
    const queue = t.define(z.string()) as unknown as string;
    for (const look of [t.broker.inspect(queue), t.broker.purge(queue), t.broker.remove(queue)]) {
      expect((await rejection(look, 'INVALID_OPTION')).message).toContain('queue.name');
    }
  },

  'limits of the wrong kind are refused with INVALID_OPTION, wherever a wait takes them': async (t) => {
    const queue = t.define(z.string());
    await t.broker.declare(queue.spec);
    const consumer = createConsumer(t.broker, queue, () => {});
    for (const wrong of [{ signal: 5 }, { signal: {} }, { timeoutMs: '1' }, { timeoutMs: -1 }, null]) {
      const wait = wrong as object as WaitOptions;
      const calls = [
        () => t.broker.inspect(queue.name, wait),
        () => t.broker.purge(queue.name, wait),
        () => t.broker.remove(queue.name, wait),
        () => t.broker.declare(queue.spec, wait),
        () => consumer.start(wait),
        () => createLock(t.broker, t.queueName()).acquire(wait),
        () => deadLetters(t.broker, queue).list(wait),
      ];
      for (const call of calls) await rejection((async () => call())(), 'INVALID_OPTION');
    }
    // It was not started.
    expect(consumer.state).toBe('idle');
    expect(await t.broker.inspect(queue.name)).toMatchObject({ ready: 0, consumers: 0 });
  },

  'inspect and purge of a missing queue are QUEUE_MISSING': async (t) => {
    const missing = t.queueName();
    expect((await rejection(t.broker.inspect(missing), 'QUEUE_MISSING')).message).toContain(missing);
    expect((await rejection(t.broker.purge(missing), 'QUEUE_MISSING')).message).toContain(missing);
  },

  'inspect counts ready messages and subscribers': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['a', 'b', 'c']);
    expect(await t.broker.inspect(queue.name)).toMatchObject({ ready: 3, consumers: 0 });
    const one = await t.inbox(queue, { prefetch: 1 });
    const two = await t.inbox(queue, { prefetch: 1 });
    await Promise.all([one.next(), two.next()]);
    expect(await t.broker.inspect(queue.name)).toMatchObject({ ready: 1, consumers: 2 });
    await one.subscription.close();
    await t.untilCounted(queue, { ready: 2, consumers: 1 });
  },

  'purge removes ready messages, returns their number, and leaves unsettled ones alone': async (t) => {
    const queue = await t.declare();
    const ids = numbered(10);
    await t.publishAll(queue, ids);
    const inbox = await t.inbox(queue, { prefetch: 2 });
    const [first, second] = await inbox.take(2);
    expect(await t.broker.purge(queue.name)).toBe(8);
    expect(await t.broker.purge(queue.name)).toBe(0);
    first?.ack();
    second?.release();
    expect(await inbox.ackNext(1)).toEqual(['m1']);
    await inbox.subscription.close();
    expect(await t.ready(queue)).toBe(0);
  },

  'with an aborted signal declare, inspect, purge and remove do nothing: ABORTED': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    const signal = AbortSignal.abort(new Error('too late'));
    const { broker } = t;
    const never = t.spec();
    await rejection(broker.declare(never, { signal }), 'ABORTED');
    await rejection(broker.inspect(queue.name, { signal }), 'ABORTED');
    await rejection(broker.purge(queue.name, { signal }), 'ABORTED');
    await rejection(broker.remove(queue.name, { signal }), 'ABORTED');
    await rejection(broker.inspect(never.name), 'QUEUE_MISSING');
    expect(await t.ready(queue)).toBe(1);
  },

  'an auto-delete queue is deleted with its last subscriber': async (t) => {
    const queue = await t.declare({ type: 'classic', autoDelete: true });
    const one = await t.inbox(queue);
    const two = await t.inbox(queue);
    await one.subscription.close();
    await t.publish(queue, 'a');
    expect(await two.ackNext(1)).toEqual(['a']);
    await two.subscription.close();
    await eventually(() => rejection(t.broker.inspect(queue.name), 'QUEUE_MISSING'));
    await rejection(t.publish(queue, 'b'), 'UNROUTABLE');
  },

  'a removed queue is gone with its messages, and can be declared again with other properties': async (t) => {
    const queue = await t.declare({ capacity: 5 });
    await t.publishAll(queue, ['a', 'b']);
    await t.broker.remove(queue.name);
    await rejection(t.broker.inspect(queue.name), 'QUEUE_MISSING');
    await rejection(t.publish(queue, 'c'), 'UNROUTABLE');
    await t.broker.declare(t.spec({ capacity: 7 }, queue.name));
    expect(await t.ready(queue)).toBe(0);
    await t.publish(queue, 'd');
    expect(await (await t.inbox(queue)).ackNext(1)).toEqual(['d']);
  },

  'removing a missing queue is QUEUE_MISSING': async (t) => {
    const missing = t.queueName();
    expect((await rejection(t.broker.remove(missing), 'QUEUE_MISSING')).message).toContain(missing);
  },

  'removing a queue ends its subscriptions, and their deliveries are lost': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'a');
    const inbox = await t.inbox(queue);
    const delivery = await inbox.next();
    await t.broker.remove(queue.name);
    await rejection(inbox.subscription.ended, 'QUEUE_MISSING');
    expect(inbox.lost).toEqual([delivery]);
    delivery.ack();
    await inbox.subscription.close();
  },

  'a queue that another connection removes is declared again by those that consume it, who go on': async (
    t,
  ) => {
    const [, other = t.broker] = await t.connections(2);
    // In memory there is no other: what a broker removes itself it does not declare again.
    if (other === t.broker) return;
    const queue = await t.declare({ capacity: 5 });
    await t.publish(queue, 'a');
    const inbox = await t.inbox(queue);
    const delivery = await inbox.next();
    for (const id of ['b', 'c']) {
      await other.remove(queue.name);
      // It is sent to the new queue as soon as that is there.
      const isStored = () =>
        t.publish(queue, id).then(
          () => true,
          () => false,
        );
      await eventually(isStored);
      expect((await inbox.next()).message.id).toBe(id);
    }
    expect(inbox.lost).toContain(delivery);
    await inbox.subscription.close();
    expect(await t.ready(queue)).toBe(1);
  },
};
