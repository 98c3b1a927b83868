import { expect } from 'vitest';
import type { Backend, Message, Replies } from '../../../src/broker.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { addressOf, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** What came as replies, and the losses that were told. */
function openReplies(broker: Backend): { replies: Replies; received: Message[]; losses: Error[] } {
  const received: Message[] = [];
  const losses: Error[] = [];
  const replies = broker.receiveReplies({
    onReply: (reply) => received.push(reply),
    onLost: (reason) => losses.push(reason),
  });
  return { replies, received, losses };
}

export const replyCases: Cases = {
  'a message published to a reply address arrives there intact': async (t) => {
    const { replies, received, losses } = openReplies(t.broker);
    const address = await replies.replyTo();
    expect(await replies.replyTo()).toBe(address);
    const reply = message({ correlationId: 'c1', headers: { tenant: 'blue' }, body: 'grüße' });
    await t.broker.publish(addressOf(address), reply);
    await eventually(() => received.length === 1);
    expect(received[0]).toMatchObject({ id: reply.id, correlationId: 'c1', contentType: 'text/plain' });
    expect({ ...received[0]?.headers }).toEqual({ tenant: 'blue' });
    expect(Buffer.from(received[0]?.body ?? '').toString()).toBe('grüße');
    await replies.close();
    expect(losses).toEqual([]);
  },

  'a request carries the reply address to its receiver': async (t) => {
    const { replies, received } = openReplies(t.broker);
    const queue = await t.declare();
    const request = message({ replyTo: await replies.replyTo(), correlationId: 'c2' });
    await t.broker.publish(addressOf(queue), request);
    const delivery = await (await t.inbox(queue)).next();
    expect(delivery.message).toMatchObject({ replyTo: request.replyTo, correlationId: 'c2' });
    await t.broker.publish(addressOf(String(delivery.message.replyTo)), message({ correlationId: 'c2' }));
    delivery.ack();
    await eventually(() => received.length === 1);
  },

  'each listener has an address of its own': async (t) => {
    const one = openReplies(t.broker);
    const other = openReplies(t.broker);
    await t.broker.publish(addressOf(await one.replies.replyTo()), message({ id: 'for one' }));
    await t.broker.publish(addressOf(await other.replies.replyTo()), message({ id: 'for the other' }));
    await eventually(() => one.received.length === 1 && other.received.length === 1);
    expect(one.received[0]?.id).toBe('for one');
    expect(other.received[0]?.id).toBe('for the other');
  },

  'concurrent calls get the same address': async (t) => {
    const { replies } = openReplies(t.broker);
    const addresses = await Promise.all(Array.from({ length: 20 }, () => replies.replyTo()));
    expect(new Set(addresses).size).toBe(1);
  },

  'a reply to an address that is gone is dropped, or UNROUTABLE': async (t) => {
    const { replies, received } = openReplies(t.broker);
    const address = await replies.replyTo();
    await replies.close();
    await t.broker.publish(addressOf(address), message()).catch((error) => {
      expect(error).toMatchObject({ code: 'UNROUTABLE' });
    });
    expect(received).toEqual([]);
    await rejection(replies.replyTo(), 'CLOSED');
    await replies.close();
  },

  'closing the broker loses the address': async (t) => {
    const broker = await t.open();
    const { replies, losses } = openReplies(broker);
    await replies.replyTo();
    await broker.close();
    expect(losses).toHaveLength(1);
    await rejection(replies.replyTo(), 'CLOSED');
  },
};
