import { expect } from 'vitest';
import type { Backend } from '../../../src/broker.js';
import { eventually } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { addressOf, message, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const failure = { code: 'failed', error: 'no' } as const;

/** Every call that needs an open broker. */
function callsOn(broker: Backend, queue: Parameters<Backend['declare']>[0]): Promise<unknown>[] {
  return [
    broker.declare(queue),
    broker.publish(addressOf(queue), message()),
    broker.publish(addressOf(queue), message(), { noWait: true }),
    broker.subscribe(queue.name, { prefetch: 1 }, () => {}),
    broker.inspect(queue.name),
    broker.purge(queue.name),
  ];
}

export const closingCases: Cases = {
  'an open broker is connected, and its url has no password': async ({ broker }) => {
    expect(broker.state).toBe('connected');
    expect(broker.url).toMatch(/^(local|amqps?):/);
    expect(broker.url).not.toMatch(/:[^/]*guest@/);
  },

  'a closed broker is closed, and every call rejects with CLOSED': async (t) => {
    const queue = await t.declare();
    await t.broker.close();
    expect(t.broker.state).toBe('closed');
    await Promise.all(callsOn(t.broker, queue).map((call) => rejection(call, 'CLOSED')));
  },

  'a second close waits for the first': async ({ broker }) => {
    await Promise.all([broker.close(), broker.close()]);
    await broker.close();
    expect(broker.state).toBe('closed');
  },

  'calls in progress when the broker closes settle, and fail only with CLOSED or UNCONFIRMED': async (t) => {
    const queue = await t.declare();
    const calls = callsOn(t.broker, queue);
    const closing = t.broker.close();
    for (const result of await Promise.allSettled(calls)) {
      if (result.status === 'rejected') {
        expect(['CLOSED', 'UNCONFIRMED']).toContain(result.reason?.code);
      }
    }
    await closing;
  },

  'publishes that wait for room reject with CLOSED': async (t) => {
    const queue = await t.declare({ capacity: 2 });
    await t.fill(queue);
    const waiting = numbered(5).map((id) => rejection(t.publish(queue, id), 'CLOSED'));
    await rejection(t.publish(queue, 'probe', { timeoutMs: 100 }), 'TIMEOUT');
    await t.broker.close();
    await Promise.all(waiting);
  },

  'subscriptions end, deliver nothing more, and their deliveries can no longer be settled': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['a', 'b', 'c', 'd', 'e']);
    const inbox = await t.inbox(queue, { prefetch: 4 });
    const [a, b, c, d] = await inbox.take(4);
    await t.broker.close();
    await inbox.subscription.ended;
    expect(inbox.deliveries).toHaveLength(4);
    a?.ack();
    b?.release();
    await Promise.allSettled([c?.retry(0, failure), d?.deadLetter(failure)]);
    await inbox.subscription.cancel();
    await inbox.subscription.close();
  },

  'retries and dead letters in progress when the broker closes settle': async (t) => {
    const queue = await t.declare({ deadLetter: { capacity: 2 } });
    await t.fill(`${queue.name}.dead`);
    await t.publishAll(queue, ['a', 'b']);
    const [a, b] = await (await t.inbox(queue)).take(2);
    const settling = Promise.allSettled([a?.retry(0, failure), b?.deadLetter(failure)]);
    await t.broker.close();
    await settling;
  },

  'a message outlives the broker that published it': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['a', 'b']);
    await t.broker.close();
    const next = await t.open();
    const inbox = await Inbox.open(next, queue.name);
    expect(await inbox.ackNext(2)).toEqual(['a', 'b']);
  },

  'messages that were unsettled when their broker closed are redelivered to another': async (t) => {
    const queue = await t.declare();
    await t.publishAll(queue, ['done', 'open', 'retried', 'unseen']);
    const first = await t.inbox(queue, { prefetch: 3 });
    const [done, , retried] = await first.take(3);
    done?.ack();
    await retried?.retry(300, failure);
    await t.broker.close();
    const next = await t.open();
    const inbox = await Inbox.open(next, queue.name);
    const seen = new Map((await inbox.take(3)).map((delivery) => [delivery.message.id, delivery]));
    expect(seen.get('open')).toMatchObject({ redelivered: true });
    expect(seen.get('retried')).toMatchObject({ redelivered: true, attempt: 2 });
    expect(seen.get('unseen')).toMatchObject({ attempt: 1 });
  },

  'brokers are independent: closing one does not affect another': async (t) => {
    const other = await t.open();
    const queue = t.spec();
    await other.declare(queue);
    const inbox = await Inbox.open(other, queue.name);
    await t.broker.close();
    await other.publish(addressOf(queue), message({ id: 'a' }));
    expect(await inbox.ackNext(1)).toEqual(['a']);
    await inbox.subscription.close();
    await eventually(async () => (await other.inspect(queue.name)).consumers === 0);
  },
};
