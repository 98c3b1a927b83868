import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from 'amqplib';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Backend, Delivery } from '../../src/broker.js';
import { type DeadLetterHistory, deadLetterHistory } from '../../src/common/message/dead-letter-headers.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue, type Queue } from '../../src/queue.js';
import { Millrace } from '../cli/support/spawn-millrace.js';
import { newFolder } from '../local-queue/disk/folders.js';
import { amqpUrl, brokerVersion, rawConnection, uniqueName } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { EventLog } from '../support/event-log.js';
import { eventually, untilAsserted } from '../support/eventually.js';
import { Inbox } from '../support/inbox.js';
import { removeQueues } from '../support/remove-queues.js';
import { addressOf } from './ledger/addresses.js';
import { runLedger } from './ledger/ledger.js';
import { isFull, size } from './size.js';

const prefix = uniqueName('poison');
let count = 0;
afterAll(() => removeQueues(prefix));

const MIB = 1024 * 1024;
const POISONINGS = size(1, 10);

async function open(address: string): Promise<Backend> {
  const broker = await connect(address);
  onTestFinished(() => broker.close());
  return broker;
}

function historyOf({ message }: Delivery): DeadLetterHistory | undefined {
  return deadLetterHistory(message.headers);
}

/** What a sender in another language, or with ill will, may put into a queue. */
const poison: readonly [string, Buffer, Options.Publish, string][] = [
  ['bytes that are no JSON', Buffer.of(0xff, 0x00, 0x7b), {}, 'undecodable'],
  ['200 levels of the wrong type', Buffer.from('['.repeat(200) + ']'.repeat(200)), {}, 'invalid'],
  ['a key that poisons prototypes', Buffer.from('{"total":1,"__proto__":{"admin":true}}'), {}, 'undecodable'],
  ['a wrong type', Buffer.from('{"total":"1"}'), {}, 'invalid'],
  ['a body above the limit', Buffer.alloc(2 * MIB, 0x20), {}, 'too-large'],
  [
    'an unknown content type',
    Buffer.from('total: 1'),
    { contentType: 'application/x-unknown' },
    'undecodable',
  ],
  ['a compressed body', Buffer.from('{"total":1}'), { contentEncoding: 'gzip' }, 'undecodable'],
  [
    'as many headers as AMQP carries',
    Buffer.from('{}'),
    { headers: { small: 'kept', large: 'l'.repeat(65_000), nested: { list: Array(20).fill(1.5) } } },
    'invalid',
  ],
  [
    'headers that poison prototypes',
    Buffer.from('{}'),
    {
      headers: JSON.parse(
        '{"__proto__":{"admin":true,"x-death":[{}]},"constructor":{"prototype":{"admin":true}}}',
      ),
    },
    'invalid',
  ],
  [
    'headers of the toolkit that make no sense',
    Buffer.from('{}'),
    { headers: { 'x-millrace-attempt': 'NaN' } },
    'invalid',
  ],
];

describe.each(['quorum', 'classic'] as const)("a stranger's messages in a %s queue", (type) => {
  it('that are poison become dead letters with their reasons, and do not block the queue', async () => {
    const queue = defineQueue(`${prefix}-${++count}`, z.object({ total: z.number() }), { type });
    const broker = await open(amqpUrl());
    await broker.declare(queue.spec);
    const channel = await (await rawConnection()).createConfirmChannel();
    for (const [messageId, body, options] of poison) {
      channel.sendToQueue(queue.name, body, { contentType: 'application/json', messageId, ...options });
    }
    channel.sendToQueue(queue.name, Buffer.from('{"total":1}'), { messageId: 'good' });
    await channel.waitForConfirms();

    const log = new EventLog();
    const handled: unknown[] = [];
    const consumer = createConsumer(broker, queue, (value) => void handled.push(value), {
      observe: log.observe,
    });
    await consumer.start();
    await log.until('dead-lettered', poison.length);
    await log.until('handled');
    await consumer.stop();
    expect(handled).toEqual([{ total: 1 }]);
    expect({}).not.toHaveProperty('admin');

    const dead = await (await Inbox.open(broker, `${queue.name}.dead`)).take(poison.length);
    const reasons = dead.map((delivery) => [delivery.message.id, historyOf(delivery)?.reason]);
    expect(Object.fromEntries(reasons)).toEqual(
      Object.fromEntries(poison.map(([id, , , reason]) => [id, reason])),
    );
    const overfull = dead.find(({ message }) => message.id === 'as many headers as AMQP carries');
    expect(overfull?.message.headers).toMatchObject({ small: 'kept', 'x-millrace-dropped-headers': 'large' });
  });
});

/** What handlers throw besides errors. */
const notErrors: readonly unknown[] = [
  undefined,
  null,
  '',
  'a string',
  0,
  Symbol('thrown'),
  Object.create(null),
];

describe.each(['quorum', 'classic'] as const)('a %s queue under load', (backend) => {
  it('loses none of its messages over the poison among them, nor over handlers that throw anything', async () => {
    const address = await addressOf(backend);
    const name = `${prefix}-${++count}`;
    const channel = await (await rawConnection()).createConfirmChannel();
    let failures = 0;
    await runLedger(
      {
        fault: 'poison among the messages',
        backend,
        address,
        queue: name,
        messages: size(1000, 10_000),
        handler: ({ number }, { attempt }) => {
          if (number % 100 === 0 && attempt === 1) throw notErrors[failures++ % notErrors.length];
        },
      },
      async ({ strike, handled, count, inspector }) => {
        for (let time = 1; time <= POISONINGS; time++) {
          await handled(100);
          await strike(async () => {
            for (const [messageId, body, options] of poison) {
              channel.sendToQueue(name, body, { contentType: 'application/json', messageId, ...options });
            }
            await channel.waitForConfirms();
            await eventually(() => count('dead-lettered') === time * poison.length, { timeoutMs: 20_000 });
          });
          const inbox = await Inbox.open(inspector, `${name}.dead`);
          for (const _ of poison) {
            const dead = await inbox.next();
            const expected = poison.find(([id]) => id === dead.message.id)?.[3];
            expect(historyOf(dead)?.reason).toBe(expected);
            dead.ack();
          }
          await inbox.subscription.close();
        }
      },
    );
    expect(failures).toBeGreaterThanOrEqual(notErrors.length);
  });
});

/** A queue with a message that ends whatever process handles it, and one behind it. */
async function deadly(broker: Backend, backend: string, options: { deliveryLimit?: number }) {
  const type = backend === 'classic' ? 'classic' : 'quorum';
  const queue = defineQueue(`${prefix}-${++count}`, z.string(), { type, ...options });
  const producer = createProducer(broker, queue);
  await producer.send('deadly', { id: 'deadly' });
  await producer.send('harmless', { id: 'harmless' });
  return queue;
}

const DEADLY_HANDLER = `export default (text, { attempt, redelivered }) => {
  console.log(text + ' ' + attempt + ' ' + redelivered);
  if (text === 'deadly') process.exit(99);
};`;

/** Runs a worker until the message has killed it. Its line tells what the handler saw. */
async function killOne(address: string, queue: Queue<string>): Promise<string> {
  const module = join(newFolder(), 'handler.mjs');
  writeFileSync(module, DEADLY_HANDLER);
  const worker = new Millrace(['work', module, '-q', queue.name, '-p', '1'], {
    env: { MILLRACE_URL: address },
  });
  expect(await worker.exit()).toBe(99);
  return worker.stdout.trim();
}

describe.each(['quorum', 'local:./folder'] as const)(
  'a message that kills each worker of its queue (%s)',
  (backend) => {
    it('is a dead letter after the delivery limit, and says so; the one behind it is handled', async () => {
      const address = await addressOf(backend);
      const broker = await open(address);
      const queue = await deadly(broker, backend, { deliveryLimit: 2 });
      const seen: string[] = [];
      for (let kill = 1; kill <= 3; kill++)
        seen.push((await killOne(address, queue)).split('\n').at(-1) ?? '');
      const isCounted = backend !== 'quorum' || brokerVersion().countsFailuresOnly;
      const again = isCounted ? ['deadly 2 true', 'deadly 3 true'] : ['deadly 1 true', 'deadly 1 true'];
      expect(seen).toEqual(['deadly 1 false', ...again]);
      await untilAsserted(async () => expect((await broker.inspect(`${queue.name}.dead`)).ready).toBe(1));
      expect((await broker.inspect(queue.name)).ready).toBe(1);

      const dead = await (await Inbox.open(broker, `${queue.name}.dead`)).next();
      expect(dead.message).toMatchObject({ id: 'deadly' });
      // Before 4.0 a dead letter does not say how often it had been delivered.
      const attempts = backend !== 'quorum' || brokerVersion().limitsDeliveries ? 3 : 1;
      expect(historyOf(dead)).toMatchObject({ reason: 'delivery-limit', queue: queue.name, attempts });
      expect(await (await Inbox.open(broker, queue.name)).ackNext(1)).toEqual(['harmless']);
    });
  },
);

describe('a message that kills each worker of a classic queue', () => {
  it('is redelivered each time, marked and not counted, until a handler rejects it', async () => {
    const address = await addressOf('classic');
    const broker = await open(address);
    const queue = await deadly(broker, 'classic', {});
    const seen: string[] = [];
    for (let kill = 1; kill <= 4; kill++) seen.push(await killOne(address, queue));
    expect(seen).toEqual(['deadly 1 false', 'deadly 1 true', 'deadly 1 true', 'deadly 1 true']);

    const log = new EventLog();
    const handler = (text: string, { redelivered }: { readonly redelivered: boolean }) => {
      if (redelivered && text === 'deadly') throw new Error("it has been somebody's end");
    };
    const options = { retry: { delaysMs: [] }, observe: log.observe };
    const consumer = createConsumer(broker, queue, handler, options);
    await consumer.start();
    await log.until('handled');
    expect(log.of('dead-lettered')).toMatchObject([{ id: 'deadly', failure: { code: 'failed' } }]);
    await consumer.stop();
  });
});

// Before 4.0 such a queue has no limit.
const hasDefaultLimit = brokerVersion().limitsDeliveries;

describe.runIf(isFull && hasDefaultLimit)(
  'a message that kills each worker of a queue that other programs declared',
  () => {
    it("is a dead letter after the broker's own delivery limit, and is not dropped", async () => {
      const address = await addressOf('quorum');
      const broker = await open(address);
      const name = `${prefix}-${++count}`;
      const channel = await (await rawConnection()).createConfirmChannel();
      await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
      const queue = defineQueue(name, z.string(), { declare: 'if-missing' });
      await createProducer(broker, queue).send('deadly', { id: 'deadly' });
      const DEFAULT_LIMIT = 20;
      for (let kill = 0; kill < DEFAULT_LIMIT; kill++) await killOne(address, queue);
      // It is handed out once more, to be moved instead of handled.
      const last = new Millrace(['work', '-q', name], { env: { MILLRACE_URL: address } });
      const dead = await eventually(
        async () => (await broker.inspect(`${name}.dead`)).ready === 1 && Inbox.open(broker, `${name}.dead`),
      );
      expect(historyOf(await dead.next())).toMatchObject({ reason: 'delivery-limit', queue: name });
      last.child.kill('SIGTERM');
      expect(await last.exit()).toBe(0);
    });
  },
);
