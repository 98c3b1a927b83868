import { afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { ConnectOptions } from '../../src/connect.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { isQueueError } from '../../src/errors.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { canStartOwnBroker, startOwnBroker, uniqueName } from '../support/broker.js';
import { connect } from '../support/connect.js';
import type { BrokerContainer } from '../support/containers/broker-container.js';
import { eventually } from '../support/eventually.js';
import { Inbox } from '../support/inbox.js';
import { runLedger } from './ledger/ledger.js';
import { secretUser } from './secret-user.js';
import { size } from './size.js';

const MESSAGES = size(3000, 20_000);
const ALARMS = size(1, 5);
const PRODUCERS = 2;

let container: BrokerContainer;
let address: string;

// An alarm blocks everybody who publishes to the broker: it is this file's own.
beforeAll(async () => {
  if (!canStartOwnBroker()) return;
  container = await startOwnBroker();
  address = await secretUser(container);
}, 120_000);

/** It makes no difference to `close` which alarm it is: it is tried with one type of queue each. */
interface Alarm {
  readonly name: string;
  readonly set: readonly string[];
  readonly clear: readonly string[];
  readonly closeWith: 'quorum' | 'classic';
}

const alarms: readonly Alarm[] = [
  {
    name: 'memory alarm',
    set: ['set_vm_memory_high_watermark', '0.0001'],
    clear: ['set_vm_memory_high_watermark', '0.6'],
    closeWith: 'quorum',
  },
  {
    name: 'disk alarm',
    set: ['set_disk_free_limit', '900000GB'],
    clear: ['set_disk_free_limit', '50MB'],
    closeWith: 'classic',
  },
];

afterEach(async () => {
  if (!canStartOwnBroker()) return;
  for (const { clear } of alarms) await container.rabbitmqctl(...clear);
});

async function open(options: ConnectOptions = {}) {
  const broker = await connect(address, options);
  onTestFinished(() => broker.close());
  return broker;
}

describe.skipIf(!canStartOwnBroker()).each(alarms)('a $name', ({ name, set, clear, closeWith }) => {
  it.each(['quorum', 'classic'] as const)(
    'has senders to a %s queue wait and consumers go on, and nothing is lost',
    async (backend) => {
      await runLedger(
        {
          fault: name,
          backend,
          address,
          queue: uniqueName('alarm'),
          messages: MESSAGES,
          producers: PRODUCERS,
          // So slow that there is something left to do for consumers while producers wait.
          handlerMs: 20,
        },
        async ({ ledger, handled, strike, brokers, count }) => {
          for (let alarm = 0; alarm < ALARMS; alarm++) {
            await handled(Math.floor(MESSAGES / (ALARMS + 1)));
            await container.rabbitmqctl(...set);
            await eventually(() => brokers.filter(({ state }) => state === 'blocked').length === PRODUCERS);
            // All that was stored is handled: what is left are those that wait to be sent.
            await ledger.until(() => ledger.ahead <= ledger.sending, AbortSignal.timeout(30_000));
            expect(ledger.sending).toBeGreaterThan(0);
            await strike(() => container.rabbitmqctl(...clear));
          }
          expect(count('disconnected')).toBe(0);
        },
      );
    },
  );

  it('that is on when the broker is closed distinguishes unconfirmed messages from unsent ones', async () => {
    const queue = defineQueue(uniqueName('alarm'), z.number(), { type: closeWith });
    const maxUnconfirmed = 10;
    const broker = await open({ maxUnconfirmed });
    const producer = createProducer(broker, queue);
    await producer.send(-1);
    const attempts: number[] = [];
    const consumer = createConsumer(await open(), queue, (value, { attempt }) => {
      if (value !== -1) return;
      attempts.push(attempt);
      throw new Error('its retry can not be stored now');
    });

    await container.rabbitmqctl(...set);
    const sends = Array.from({ length: 3 * maxUnconfirmed }, (_, number) => producer.send(number));
    const settled = Promise.allSettled(sends);
    await eventually(() => broker.state === 'blocked');
    await consumer.start();
    await eventually(() => attempts.length > 0);
    expect(await consumer.stop({ deadlineMs: 200 })).toEqual({ unfinished: 1 });
    await broker.close();
    const codes = (await settled).map((send) => {
      if (send.status === 'fulfilled') return 'stored';
      return isQueueError(send.reason) ? send.reason.code : String(send.reason);
    });
    expect(codes).toEqual([
      ...Array(maxUnconfirmed).fill('UNCONFIRMED'),
      ...Array(2 * maxUnconfirmed).fill('CLOSED'),
    ]);

    await container.rabbitmqctl(...clear);
    const inbox = await Inbox.open(await open(), queue.name);
    await createProducer(await open(), queue).send(1000);
    const seen: number[] = [];
    while (seen.at(-1) !== 1000 || !seen.includes(-1)) {
      const delivery = await inbox.next();
      seen.push(Number(delivery.message.body));
      delivery.ack();
    }
    // The failed one is there once more; those called unsent never come.
    expect(seen).toContain(-1);
    for (const [number, code] of codes.entries()) if (code === 'CLOSED') expect(seen).not.toContain(number);
  });
});
