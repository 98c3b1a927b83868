import { afterAll, describe, expect, it } from 'vitest';
import type { HandlerContext } from '../../src/consumer/consumer.js';
import {
  brokerVersion,
  canStartOwnBroker,
  managementApi,
  managementUrl,
  startOwnBroker,
  uniqueName,
} from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { removeQueues } from '../support/remove-queues.js';
import { runLedger } from './ledger/ledger.js';
import { secretUser } from './secret-user.js';
import { isFull, size } from './size.js';

const prefix = uniqueName('operator');
const TIMES = size(2, 10);

afterAll(() => removeQueues(prefix));

describe.each(['quorum', 'classic'] as const)('clients of a %s queue', (backend) => {
  it('whose connections are closed by an operator reconnect', async () => {
    managementUrl(); // Skips here where there is none: `eventually` would only ask again.
    const address = await secretUser();
    const { username } = new URL(address);
    await runLedger(
      {
        fault: 'connections closed by an operator',
        backend,
        address,
        queue: `${prefix}-connections-${backend}`,
        messages: size(1000, 10_000),
      },
      async ({ strike, handled, count, brokers }) => {
        for (let time = 0; time < TIMES; time++) {
          await handled(100);
          const before = count('disconnected');
          await strike(async () => {
            // The management hears of a new connection somewhat late, and closes those that it has heard of.
            await eventually(
              async () => {
                await managementApi('DELETE', `/api/connections/username/${username}`);
                return count('disconnected') - before >= brokers.length;
              },
              { intervalMs: 250 },
            );
          });
        }
      },
    );
  });

  it('that an operator deletes with its messages is created again, and clients continue', async () => {
    managementUrl(); // Skips where there is none.
    const queue = `${prefix}-deleted-${backend}`;
    await runLedger(
      { fault: 'queue deleted', backend, address: await secretUser(), queue, messages: size(1000, 10_000) },
      async ({ strike, handled, count, ledger }) => {
        for (let time = 0; time < TIMES; time++) {
          await handled(100);
          const before = count('resubscribed');
          await strike(async () => {
            await managementApi('DELETE', `/api/queues/%2F/${queue}`);
            // What was in the queue has gone with it; what is sent from now on may not.
            ledger.excuse();
            await eventually(() => count('resubscribed') - before >= 2);
          });
        }
        expect(count('unsubscribed')).toBeGreaterThan(0);
      },
    );
  });
});

/** The handler of one message waits, once `next` is set, until its signal is aborted. */
class Stuck {
  next = false;
  context?: HandlerContext;

  readonly handler = (_value: unknown, context: HandlerContext): Promise<never> | undefined => {
    if (!this.next) return undefined;
    this.next = false;
    this.context = context;
    return new Promise((_resolve, reject) => {
      context.signal.addEventListener('abort', () => reject(context.signal.reason));
    });
  };
}

// Before 4.3 queues have no time-out of their own, or one that is looked at once a minute.
describe.runIf(brokerVersion().countsFailuresOnly)(
  'a consumer that keeps a message beyond the consumer time-out of its queue',
  () => {
    it('is warned, its handler is aborted, and both the message and the consumer go on', async () => {
      const limitMs = 1500;
      const stuck = new Stuck();
      await runLedger(
        {
          fault: 'consumer time-out: cancelled by the broker',
          backend: 'quorum',
          address: await secretUser(),
          queue: `${prefix}-timeout`,
          queueOptions: { arguments: { 'x-consumer-timeout': limitMs } },
          messages: size(1000, 10_000),
          handler: stuck.handler,
        },
        async ({ strike, handled, consumerEvents, count }) => {
          for (let time = 0; time < TIMES; time++) {
            await handled(100);
            const resubscribed = count('resubscribed');
            const begin = consumerEvents.length;
            await strike(async () => {
              delete stuck.context;
              stuck.next = true;
              await eventually(() => stuck.context?.signal.aborted === true, { timeoutMs: 20_000 });
              await eventually(() => count('resubscribed') > resubscribed);
            });
            const ofStuck = consumerEvents
              .slice(begin)
              .filter((event) => 'id' in event && event.id === stuck.context?.id);
            expect(ofStuck).toMatchObject([{ type: 'slow', limit: 'broker' }, { type: 'lost' }]);
            expect(stuck.context?.signal.reason).toMatchObject({
              message: expect.stringContaining('consumer time-out'),
            });
          }
        },
      );
    });
  },
);

const CLOSES_CHANNELS = !brokerVersion().countsFailuresOnly;

// The broker looks once a minute.
describe.runIf(CLOSES_CHANNELS && isFull && canStartOwnBroker()).each(['quorum', 'classic'] as const)(
  'a consumer of a %s queue that keeps a message beyond the consumer_timeout of RabbitMQ',
  (backend) => {
    it('has its channel closed and another one opened, and its handler is aborted', async () => {
      const container = await startOwnBroker();
      await container.rabbitmqctl('eval', 'application:set_env(rabbit, consumer_timeout, 2000).');
      const stuck = new Stuck();
      await runLedger(
        {
          fault: 'consumer time-out: channel closed by the broker',
          backend,
          address: await secretUser(container),
          queue: uniqueName('timeout'),
          messages: 1000,
          // The broker takes up to a minute, and the ledger of all that could be sent meanwhile take memory, too.
          handlerMs: 100,
          handler: stuck.handler,
        },
        async ({ strike, handled, consumerEvents, count }) => {
          await handled(100);
          await strike(async () => {
            stuck.next = true;
            await eventually(() => stuck.context?.signal.aborted === true, { timeoutMs: 150_000 });
            await eventually(() => count('resubscribed') > 0);
          });
          const { id } = stuck.context ?? {};
          expect(consumerEvents).toContainEqual(expect.objectContaining({ type: 'lost', id }));
        },
      );
    });
  },
);
