import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BrokerEvent, Message } from '../../../../src/broker.js';
import { deadLetters } from '../../../../src/dead-letters/dead-letters.js';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import { BodyReader, messageAt } from '../../../../src/local-queue/disk/message-lists.js';
import type { Request } from '../../../../src/local-queue/disk/protocol.js';
import { ExitGuard } from '../../../../src/local-queue/disk/store/sqlite.js';
import { Store } from '../../../../src/local-queue/disk/store/store.js';
import { WriteLock } from '../../../../src/local-queue/disk/store/write-lock.js';
import { eventually } from '../../../support/eventually.js';
import { Inbox } from '../../../support/inbox.js';
import { inDatabase, newFolder, plainQueue } from '../folders.js';

const message: Message = {
  id: 'the-message',
  contentType: 'text/plain',
  headers: { tenant: 'blue', big: 2n ** 60n },
  body: 'what is stored, and nothing else',
  type: 'order.placed',
  priority: 4,
  expiresAt: 4_000_000_000_000,
};
const to = { exchange: '', routingKey: 'orders' };

async function storedFolder(options?: Parameters<typeof plainQueue>[1]): Promise<string> {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('orders', options));
  await broker.publish(to, message);
  await broker.close();
  return folder;
}

/** What a subscriber of the queue is handed, as the store thread would. Throws what opening the store throws. */
function handedOut(folder: string): { messages: Message[]; setAside: number; isReported: boolean } {
  const store = new Store(folder, 30_000, new WriteLock(new ExitGuard()));
  try {
    const subscribe: Request = {
      kind: 'subscribe',
      id: 1,
      subscription: 2,
      queue: 'orders',
      prefetch: 10,
      inspects: false,
    };
    // The first deliveries come in the transaction after the one of the subscription.
    const replies = [store.apply([subscribe]), store.apply([]), store.apply([])].map(({ reply }) => reply);
    const batches = replies.flatMap(({ deliveries }) => deliveries);
    return {
      messages: batches.flatMap(({ messages }) => {
        const bodies = new BodyReader(messages);
        return messages.ids.flatMap((_, index) => {
          const body = bodies.next();
          try {
            return messageAt(messages, index, body);
          } catch {
            return [];
          }
        });
      }),
      setAside: replies.flatMap(({ setAside }) => setAside).length,
      isReported: replies.some(({ fatal }) => fatal !== undefined),
    };
  } finally {
    store.close();
  }
}

test('no byte of a stored message can change and reach a handler', async () => {
  const folder = await storedFolder();
  const file = join(folder, 'queue.db');
  const good = readFileSync(file);
  const [expected] = handedOut(folder).messages;
  expect(expected).toMatchObject(message);
  const body = good.indexOf(message.body);
  const begin = good.lastIndexOf(message.id, body) - 40;
  const end = body + message.body.length;
  const counts = { delivered: 0, setAside: 0, reported: 0, missing: 0 };
  for (let at = begin; at < end; at++) {
    const bytes = Buffer.from(good);
    bytes[at] = (bytes[at] as number) ^ (1 << (at % 8));
    // A copy of its own: SQLite may still have the one before open.
    const copy = join(folder, String(at));
    mkdirSync(copy);
    writeFileSync(join(copy, 'queue.db'), bytes);
    try {
      const { messages, setAside, isReported } = handedOut(copy);
      for (const delivered of messages) expect(delivered, `byte ${at - begin} has changed`).toEqual(expected);
      if (messages.length > 0) counts.delivered++;
      else if (setAside > 0) counts.setAside++;
      else if (isReported) counts.reported++;
      else counts.missing++;
    } catch (error) {
      if (!String(error).match(/malformed|damaged|no store/)) throw error;
      counts.reported++;
    }
  }
  // Bytes that say where the message is in its queue, and of its neighbors, are not part of what was sent.
  expect(counts.setAside).toBeGreaterThan((end - begin) / 2);
  expect(counts.delivered + counts.missing).toBeLessThan(60);
});

test('a damaged message is a dead letter that says so, is reported, and is not replayed unless it is named', async () => {
  const folder = await storedFolder();
  inDatabase(folder, "UPDATE messages SET body = 'what is stored, and something else'");
  const events: BrokerEvent[] = [];
  const broker = await openDiskBroker(folder, { observe: (event) => events.push(event) });
  const inbox = await Inbox.open(broker, 'orders');
  await eventually(() => events.length === 1);
  expect(events).toMatchObject([
    { type: 'dead-lettered', queue: 'orders', id: 'the-message', failure: { code: 'damaged' } },
  ]);
  const dead = deadLetters(broker, 'orders');
  expect((await dead.list()).deadLetters).toMatchObject([
    { id: 'the-message', reason: 'damaged', queue: 'orders', message: { headers: { tenant: 'blue' } } },
  ]);
  expect(await dead.replay()).toMatchObject({ replayed: 0, failed: 1 });
  expect(await dead.replay({ reason: 'damaged' })).toMatchObject({ replayed: 1 });
  expect(await inbox.ackNext(1)).toEqual(['the-message']);
  await broker.close();
});

test('a damaged dead letter stays, and says so', async () => {
  const folder = await storedFolder();
  const first = await openDiskBroker(folder);
  const inbox = await Inbox.open(first, 'orders');
  await (await inbox.next()).deadLetter({ code: 'rejected', error: 'no' });
  await first.close();
  inDatabase(folder, "UPDATE messages SET content_type = 'text/html'");
  const broker = await openDiskBroker(folder);
  const list = await deadLetters(broker, 'orders').list();
  expect(list.deadLetters).toMatchObject([{ id: 'the-message', reason: 'damaged', queue: 'orders' }]);
  await broker.close();
});

test('a damaged message of a queue without dead letters is dropped, and reported', async () => {
  const folder = await storedFolder({ deadLetter: false });
  inDatabase(folder, 'UPDATE messages SET timestamp = 5');
  const events: BrokerEvent[] = [];
  const broker = await openDiskBroker(folder, { observe: (event) => events.push(event) });
  const inbox = await Inbox.open(broker, 'orders');
  await eventually(() => events.length === 1);
  await broker.publish(to, { ...message, id: 'next' });
  expect(await inbox.ackNext(1)).toEqual(['next']);
  await broker.close();
});

test('a message that was damaged while it was retried is found to be', async () => {
  const folder = await storedFolder();
  const broker = await openDiskBroker(folder);
  const inbox = await Inbox.open(broker, 'orders');
  const delivery = await inbox.next();
  inDatabase(folder, "UPDATE messages SET body = 'x'");
  await delivery.retry(0, { code: 'failed', error: 'again' });
  const letters = await eventually(async () => {
    const list = await deadLetters(broker, 'orders').list();
    return list.deadLetters.length > 0 && list.deadLetters;
  });
  expect(letters).toMatchObject([{ reason: 'damaged', attempts: 2 }]);
  await broker.close();
});
