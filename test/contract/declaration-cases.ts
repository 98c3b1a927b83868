import { expect } from 'vitest';
import { eventually } from '../support/eventually.js';
import { rejection } from '../support/rejection.js';
import { numbered } from './contract-context.js';
import type { Cases } from './contract-suite.js';

export const declarationCases: Cases = {
  'declare makes the queue and its dead-letter queue': async (bench) => {
    const queue = await bench.declare();
    expect(await bench.broker.inspect(queue.name)).toEqual({ ready: 0, consumers: 0 });
    expect(await bench.broker.inspect(`${queue.name}.dead`)).toEqual({ ready: 0, consumers: 0 });
  },

  'declaring again, and at the same time, changes nothing': async (bench) => {
    const queue = bench.spec({ capacity: 10 });
    await Promise.all(numbered(10).map(() => bench.broker.declare(queue)));
    await bench.publish(queue, 'a');
    await bench.broker.declare(queue);
    expect(await bench.ready(queue)).toBe(1);
  },

  'a queue may have any printable name': async (bench) => {
    const name = `${bench.queueName()} grün/世界?#%41.*👩‍👩‍👧`;
    const queue = bench.spec({}, name);
    await bench.broker.declare(queue);
    await bench.publish(queue, 'a');
    expect(await (await bench.inbox(name)).ackNext(1)).toEqual(['a']);
  },

  'QUEUE_MISMATCH names the property, the value there and the value wanted': async (bench) => {
    const queue = await bench.declare({ capacity: 123 });
    const other = bench.subject.redefines
      ? bench.otherSpec(queue.name)
      : bench.spec({ capacity: 456 }, queue.name);
    const { message } = await rejection(bench.broker.declare(other), 'QUEUE_MISMATCH');
    expect(message).toContain(queue.name);
    expect(message).toMatch(/capacity|x-max-length|type/);
    expect(message).toMatch(/123|quorum/);
    expect(message).toMatch(/456|classic/);
    expect(message).toContain('existing');
  },

  'another capacity takes effect, or is QUEUE_MISMATCH': async (bench) => {
    const queue = await bench.declare({ capacity: 123 });
    const other = bench.spec({ capacity: 3 }, queue.name);
    if (bench.subject.redefines) {
      await bench.broker.declare(other);
      expect((await bench.fill(queue)).length).toBe(3);
      await bench.broker.declare(bench.spec({ capacity: 5 }, queue.name));
      expect((await bench.fill(queue)).length).toBe(2);
    } else {
      await rejection(bench.broker.declare(other), 'QUEUE_MISMATCH');
    }
  },

  'another place for the dead letters takes effect, or is QUEUE_MISMATCH': async (bench) => {
    const queue = await bench.declare({ deadLetter: false });
    const dead = bench.queueName();
    const declared = bench.broker.declare(bench.spec({ deadLetter: dead }, queue.name));
    if (!bench.subject.redefines) {
      await rejection(declared, 'QUEUE_MISMATCH');
      return;
    }
    await declared;
    await bench.publish(queue, 'a');
    await (await (await bench.inbox(queue)).next()).deadLetter({ code: 'failed', error: 'no' });
    expect(await (await bench.inbox(dead)).ackNext(1)).toEqual(['a']);
  },

  'a refused declaration leaves the queue as it was': async (bench) => {
    const queue = await bench.declare({ capacity: 3 });
    await rejection(bench.broker.declare(bench.otherSpec(queue.name)), 'QUEUE_MISMATCH');
    await bench.broker.declare(queue);
    const stored = await bench.fill(queue);
    expect(stored.length).toBeLessThan(20);
  },

  'a refused declaration disturbs nothing else': async (bench) => {
    const queue = await bench.declare({ capacity: 50 });
    const inbox = await bench.inbox(queue, { prefetch: 5 });
    const unsettled = bench.publish(queue, 'before').then(() => inbox.next());
    const publishing = Promise.all(numbered(30).map((id) => bench.publish(queue, id)));
    const refused = [1, 2, 3].map(() =>
      rejection(bench.broker.declare(bench.otherSpec(queue.name)), 'QUEUE_MISMATCH'),
    );
    const missing = rejection(bench.broker.declare(bench.spec({ declare: 'existing' })), 'QUEUE_MISSING');
    await Promise.all([...refused, missing, publishing]);
    (await unsettled).ack();
    expect(await inbox.ackNext(30)).toEqual(numbered(30));
    expect(inbox.lost).toEqual([]);
  },

  "'existing' takes a queue as it is, and is QUEUE_MISSING where there is none": async (bench) => {
    const missing = bench.spec({ declare: 'existing' });
    expect((await rejection(bench.broker.declare(missing), 'QUEUE_MISSING')).message).toContain(missing.name);
    const queue = await bench.declare({ capacity: 3, deadLetter: false });
    const asItIs = bench.spec({ declare: 'existing', capacity: 1000 }, queue.name);
    await bench.broker.declare(asItIs);
    const stored = await bench.fill(queue);
    expect(stored.length).toBeLessThan(20);
  },

  "'if-missing' takes a queue as it is, and makes it where there is none": async (bench) => {
    const created = bench.spec({ declare: 'if-missing', capacity: 3 });
    await bench.broker.declare(created);
    const asItIs = bench.spec({ declare: 'if-missing', capacity: 1000, deadLetter: false }, created.name);
    await bench.broker.declare(asItIs);
    const stored = await bench.fill(created);
    expect(stored.length).toBeLessThan(20);
    const inbox = await bench.inbox(created);
    expect(await inbox.ackNext(stored.length)).toEqual(stored);
  },

  "a failed message of a queue taken as it is has its dead letter in '<queue>.dead'": async (bench) => {
    const queue = await bench.declare();
    const other = await bench.open();
    // Where other() is a private broker, the queue is new to it: either way it is there after 'if-missing'.
    await other.declare(bench.spec({ declare: 'if-missing' }, queue.name));
    await bench.broker.declare(bench.spec({ declare: 'existing' }, queue.name));
    await bench.publish(queue, 'a');
    const delivery = await (await bench.inbox(queue)).next();
    await delivery.deadLetter({ code: 'failed', error: 'no' });
    expect(await (await bench.inbox(`${queue.name}.dead`)).ackNext(1)).toEqual(['a']);
  },

  'inspect and purge of a queue that is not there are QUEUE_MISSING': async (bench) => {
    const missing = bench.queueName();
    expect((await rejection(bench.broker.inspect(missing), 'QUEUE_MISSING')).message).toContain(missing);
    expect((await rejection(bench.broker.purge(missing), 'QUEUE_MISSING')).message).toContain(missing);
  },

  'inspect counts what is ready and who subscribes': async (bench) => {
    const queue = await bench.declare();
    await bench.publishAll(queue, ['a', 'b', 'c']);
    expect(await bench.broker.inspect(queue.name)).toEqual({ ready: 3, consumers: 0 });
    const one = await bench.inbox(queue, { prefetch: 1 });
    const two = await bench.inbox(queue, { prefetch: 1 });
    await Promise.all([one.next(), two.next()]);
    expect(await bench.broker.inspect(queue.name)).toEqual({ ready: 1, consumers: 2 });
    await one.subscription.close();
    await bench.untilCounted(queue, { ready: 2, consumers: 1 });
  },

  'purge removes what is ready, says how much, and leaves the unsettled alone': async (bench) => {
    const queue = await bench.declare();
    const ids = numbered(10);
    await bench.publishAll(queue, ids);
    const inbox = await bench.inbox(queue, { prefetch: 2 });
    const [first, second] = await inbox.take(2);
    expect(await bench.broker.purge(queue.name)).toBe(8);
    expect(await bench.broker.purge(queue.name)).toBe(0);
    first?.ack();
    second?.release();
    expect(await inbox.ackNext(1)).toEqual(['m1']);
    await inbox.subscription.close();
    expect(await bench.ready(queue)).toBe(0);
  },

  'with a signal that is aborted already declare, inspect, purge and remove do nothing: ABORTED': async (
    bench,
  ) => {
    const queue = await bench.declare();
    await bench.publish(queue, 'a');
    const signal = AbortSignal.abort(new Error('too late'));
    const { broker } = bench;
    const never = bench.spec();
    await rejection(broker.declare(never, { signal }), 'ABORTED');
    await rejection(broker.inspect(queue.name, { signal }), 'ABORTED');
    await rejection(broker.purge(queue.name, { signal }), 'ABORTED');
    await rejection(broker.remove(queue.name, { signal }), 'ABORTED');
    await rejection(broker.inspect(never.name), 'QUEUE_MISSING');
    expect(await bench.ready(queue)).toBe(1);
  },

  'a queue that is deleted with its last subscriber is gone then': async (bench) => {
    const queue = await bench.declare({ type: 'classic', autoDelete: true });
    const one = await bench.inbox(queue);
    const two = await bench.inbox(queue);
    await one.subscription.close();
    await bench.publish(queue, 'a');
    expect(await two.ackNext(1)).toEqual(['a']);
    await two.subscription.close();
    await eventually(() => rejection(bench.broker.inspect(queue.name), 'QUEUE_MISSING'));
    await rejection(bench.publish(queue, 'b'), 'UNROUTABLE');
  },

  'a queue that is removed is gone with what it holds, and can be declared anew, unlike before': async (
    bench,
  ) => {
    const queue = await bench.declare({ capacity: 5 });
    await bench.publishAll(queue, ['a', 'b']);
    await bench.broker.remove(queue.name);
    await rejection(bench.broker.inspect(queue.name), 'QUEUE_MISSING');
    await rejection(bench.publish(queue, 'c'), 'UNROUTABLE');
    await bench.broker.declare(bench.spec({ capacity: 7 }, queue.name));
    expect(await bench.ready(queue)).toBe(0);
    await bench.publish(queue, 'd');
    expect(await (await bench.inbox(queue)).ackNext(1)).toEqual(['d']);
  },

  'a queue that is not there can not be removed: QUEUE_MISSING': async (bench) => {
    const missing = bench.queueName();
    expect((await rejection(bench.broker.remove(missing), 'QUEUE_MISSING')).message).toContain(missing);
  },

  'who subscribes to a queue that is removed is told, and has lost what it holds': async (bench) => {
    const queue = await bench.declare();
    await bench.publish(queue, 'a');
    const inbox = await bench.inbox(queue);
    const delivery = await inbox.next();
    await bench.broker.remove(queue.name);
    await rejection(inbox.subscription.ended, 'QUEUE_MISSING');
    expect(inbox.lost).toEqual([delivery]);
    delivery.ack();
    await inbox.subscription.close();
  },
};
