import fc from 'fast-check';
import { expect } from 'vitest';
import type { Delivery, QueueSpec, QueueSubscription } from '../../../src/broker.js';
import { eventually } from '../../support/eventually.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import type { ContractContext } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

type Settlement = 'ack' | 'retry' | 'release' | 'dead-letter';

type Step =
  | { readonly type: 'publish'; readonly count: number }
  | { readonly type: 'settle'; readonly verb: Settlement; readonly which: number }
  | { readonly type: 'subscribe'; readonly prefetch: number }
  | { readonly type: 'unsubscribe'; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('publish'), count: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('settle'),
      verb: fc.constantFrom<Settlement[]>('ack', 'retry', 'release', 'dead-letter'),
      which: fc.nat(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('subscribe'), prefetch: fc.integer({ min: 1, max: 10 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('unsubscribe'), which: fc.nat() }) },
);

/** What a run knows about every message: the ledger that have to balance with the broker's in the end. */
class Account {
  readonly stored: string[] = [];
  readonly acked: string[] = [];
  readonly dead: string[] = [];
  readonly #context: ContractContext;
  readonly #queue: QueueSpec;
  readonly #subscribers: { readonly subscription: QueueSubscription; readonly held: Delivery[] }[] = [];

  constructor(t: ContractContext, queue: QueueSpec) {
    this.#context = t;
    this.#queue = queue;
  }

  async take(step: Step): Promise<void> {
    if (step.type === 'publish') {
      for (let n = 0; n < step.count; n++) {
        const id = `m${this.stored.length}`;
        await this.#context.publish(this.#queue, id);
        this.stored.push(id);
      }
    } else if (step.type === 'subscribe') {
      const held: Delivery[] = [];
      const subscription = await this.#context.broker.subscribe(
        this.#queue.name,
        { prefetch: step.prefetch },
        (delivery) => held.push(delivery),
      );
      this.#subscribers.push({ subscription, held });
    } else if (step.type === 'unsubscribe') {
      const [subscriber] = this.#subscribers.splice(step.which % (this.#subscribers.length || 1), 1);
      await subscriber?.subscription.close();
    } else {
      await this.#settle(step.verb, step.which);
    }
  }

  /** Settles one of the deliveries that are out, and waits for one where one has to come. */
  async #settle(verb: Settlement, which: number): Promise<void> {
    const unsettled = this.stored.length - this.acked.length - this.dead.length;
    if (unsettled === 0 || this.#subscribers.length === 0) return;
    const holders = await eventually(
      () => {
        const all = this.#subscribers.filter(({ held }) => held.length > 0);
        return all.length > 0 && all;
      },
      { intervalMs: 1 },
    );
    const held = holders[which % holders.length]?.held ?? [];
    const [delivery] = held.splice(which % held.length, 1);
    if (delivery === undefined) return;
    const failure = { code: 'failed', error: 'again' } as const;
    if (verb === 'retry') await delivery.retry(0, failure);
    else if (verb === 'release') delivery.release();
    else if (verb === 'ack') {
      delivery.ack();
      this.acked.push(delivery.message.id);
    } else {
      await delivery.deadLetter(failure);
      this.dead.push(delivery.message.id);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#subscribers.map(({ subscription }) => subscription.close()));
  }
}

/** Empties a queue that should hold `count` messages, and fails where it holds fewer or more. */
async function drain(t: ContractContext, queue: string, count: number): Promise<string[]> {
  const inbox = await Inbox.open(t.broker, queue, { prefetch: 1000 });
  const drained = idsOf(await inbox.take(count));
  await t.publish(queue, 'the last');
  expect((await inbox.next()).message.id).toBe('the last');
  expect(inbox.untaken).toEqual([]);
  await inbox.subscription.close();
  await t.broker.purge(queue);
  return drained;
}

export const accountCases: Cases = {
  'whatever the order of events, every stored message is handled once, a dead letter once, or still in the queue':
    async (t) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          const queue = await t.declare();
          const account = new Account(t, queue);
          await account.take({ type: 'subscribe', prefetch: 5 });
          for (const step of steps) await account.take(step);
          await account.close();

          const settled = account.acked.length + account.dead.length;
          const left = await drain(t, queue.name, account.stored.length - settled);
          const dead = await drain(t, `${queue.name}.dead`, account.dead.length);
          expect(dead.sort()).toEqual(account.dead.sort());
          expect([...account.acked, ...dead, ...left].sort()).toEqual(account.stored.sort());
        }),
        { numRuns: t.subject.propertyRuns },
      );
    },
};
