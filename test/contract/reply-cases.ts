import { expect } from 'vitest';
import type { Backend, Message, Replies } from '../../src/broker.js';
import { eventually } from '../support/eventually.js';
import { rejection } from '../support/rejection.js';
import { addressOf, message } from './contract-context.js';
import type { Cases } from './contract-suite.js';

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
  'what is published to a reply address arrives there, whole': async (bench) => {
    const { replies, received, losses } = openReplies(bench.broker);
    const address = await replies.replyTo();
    expect(await replies.replyTo()).toBe(address);
    const reply = message({ correlationId: 'c1', headers: { tenant: 'blue' }, body: 'grüße' });
    await bench.broker.publish(addressOf(address), reply);
    await eventually(() => received.length === 1);
    expect(received[0]).toMatchObject({ id: reply.id, correlationId: 'c1', contentType: 'text/plain' });
    expect({ ...received[0]?.headers }).toEqual({ tenant: 'blue' });
    expect(Buffer.from(received[0]?.body ?? '').toString()).toBe('grüße');
    await replies.close();
    expect(losses).toEqual([]);
  },

  'a request carries the reply address to whoever receives it': async (bench) => {
    const { replies, received } = openReplies(bench.broker);
    const queue = await bench.declare();
    const request = message({ replyTo: await replies.replyTo(), correlationId: 'c2' });
    await bench.broker.publish(addressOf(queue), request);
    const delivery = await (await bench.inbox(queue)).next();
    expect(delivery.message).toMatchObject({ replyTo: request.replyTo, correlationId: 'c2' });
    await bench.broker.publish(addressOf(String(delivery.message.replyTo)), message({ correlationId: 'c2' }));
    delivery.ack();
    await eventually(() => received.length === 1);
  },

  'each has an address of its own': async (bench) => {
    const one = openReplies(bench.broker);
    const other = openReplies(bench.broker);
    await bench.broker.publish(addressOf(await one.replies.replyTo()), message({ id: 'for one' }));
    await bench.broker.publish(addressOf(await other.replies.replyTo()), message({ id: 'for the other' }));
    await eventually(() => one.received.length === 1 && other.received.length === 1);
    expect(one.received[0]?.id).toBe('for one');
    expect(other.received[0]?.id).toBe('for the other');
  },

  'many asked for at once are one address': async (bench) => {
    const { replies } = openReplies(bench.broker);
    const addresses = await Promise.all(Array.from({ length: 20 }, () => replies.replyTo()));
    expect(new Set(addresses).size).toBe(1);
  },

  'a reply to an address that is gone is dropped, or said to have no taker': async (bench) => {
    const { replies, received } = openReplies(bench.broker);
    const address = await replies.replyTo();
    await replies.close();
    await bench.broker.publish(addressOf(address), message()).catch((error) => {
      expect(error).toMatchObject({ code: 'UNROUTABLE' });
    });
    expect(received).toEqual([]);
    await rejection(replies.replyTo(), 'CLOSED');
    await replies.close();
  },

  'closing the broker is a loss of the address': async (bench) => {
    const broker = await bench.open();
    const { replies, losses } = openReplies(broker);
    await replies.replyTo();
    await broker.close();
    expect(losses).toHaveLength(1);
    await rejection(replies.replyTo(), 'CLOSED');
  },
};
