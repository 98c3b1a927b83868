import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ConsumerChannel } from '../../../src/rabbitmq/consume/consumer-channel.js';
import type { ConsumerSettings } from '../../../src/rabbitmq/consume/consumer-settings.js';
import {
  type HeldDelivery,
  Settlements,
  type UnsettledDelivery,
} from '../../../src/rabbitmq/consume/settlements.js';
import { ModelBroker } from './model-broker.js';

/** Settlements, and what was written of them. */
function settlements(prefetch: number) {
  const written: string[] = [];
  const owner = new Settlements(
    {
      ack: (tag, multiple) => written.push(`ack ${tag}${multiple ? ' and all below' : ''}`),
      nack: (tag) => written.push(`nack ${tag}`),
      reject: (tag, requeue) => written.push(`reject ${tag}${requeue ? ', again' : ''}`),
      nackAll: () => written.push('nack all'),
    },
    prefetch,
  );
  const receive = (count: number) => {
    const deliveries: UnsettledDelivery[] = [];
    for (let tag = 1; tag <= count; tag++) {
      const delivery = owner.receive(tag);
      if (delivery !== undefined) deliveries.push(delivery);
    }
    return deliveries;
  };
  return { owner, written, receive };
}

function settings(prefetch: number, isSingleActive: boolean): ConsumerSettings {
  return {
    prefetch,
    priority: undefined,
    settleWithinMs: undefined,
    countsReturns: true,
    exactDelaysMs: [],
    isSingleActive,
  };
}

describe('acknowledgements', () => {
  it('of a turn go out together at its end when they hold up the prefetch window', async () => {
    const { owner, written, receive } = settlements(100);
    for (const each of receive(100)) owner.settle(each, 'ack');
    expect(written).toEqual([]);
    await new Promise(setImmediate);
    expect(written).toEqual(['ack 100 and all below']);
    expect(owner.size).toBe(0);
  });

  it('never wait for more where each holds up the prefetch window', async () => {
    const { owner, written, receive } = settlements(1);
    for (const each of receive(1)) owner.settle(each, 'ack');
    await new Promise(setImmediate);
    expect(written).toEqual(['ack 1']);
  });

  it('that hold up nothing wait for more, and then go out by themselves', async () => {
    const { owner, written, receive } = settlements(100);
    const deliveries = receive(30);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    for (const each of deliveries.slice(0, 10)) owner.settle(each, 'ack');
    await new Promise(setImmediate);
    expect(written).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(written).toEqual(['ack 10 and all below']);
  });

  it('beyond a delivery that is not acknowledged go out singly', async () => {
    const { owner, written, receive } = settlements(4);
    const [one, two, , four, five] = receive(6);
    for (const each of [five, two, one, four]) owner.settle(each as UnsettledDelivery, 'ack');
    await new Promise(setImmediate);
    expect(written).toEqual(['ack 2 and all below', 'ack 5', 'ack 4']);
    expect(owner.size).toBe(2);
  });

  it('never cover a held return', () => {
    const { owner, written, receive } = settlements(10);
    const [one, two, three] = receive(3);
    owner.hold();
    owner.settle(two as UnsettledDelivery, 'return');
    owner.settle(three as UnsettledDelivery, 'ack');
    owner.settle(one as UnsettledDelivery, 'ack');
    expect(written).toEqual([]);
    owner.resume();
    expect(written).toEqual(['ack 1', 'ack 3', 'nack 2']);
  });
});

describe('settlements that were held', () => {
  it('are written in the order of the deliveries, in whatever order they were decided', () => {
    const { owner, written, receive } = settlements(10);
    const [one, two, three, four] = receive(4) as UnsettledDelivery[];
    owner.hold();
    owner.settle(four as UnsettledDelivery, 'return');
    owner.settle(one as UnsettledDelivery, 'fail');
    owner.settle(three as UnsettledDelivery, 'reject');
    owner.settle(two as UnsettledDelivery, 'return');
    owner.resume();
    expect(written).toEqual(['reject 1, again', 'nack 2', 'reject 3', 'nack 4']);
  });

  it('stay held if they are returns that happen when the channel is closed', () => {
    const { owner, written, receive } = settlements(10);
    const [one, two, three] = receive(3) as UnsettledDelivery[];
    owner.hold();
    owner.settle(three as UnsettledDelivery, 'ack');
    owner.settle(one as UnsettledDelivery, 'return');
    owner.settle(two as UnsettledDelivery, 'fail');
    expect(owner.onlyAcks).toBe(false);
    owner.writeAllButReturns();
    expect(written).toEqual(['ack 3', 'reject 2, again']);
    expect(owner.returnAll()).toEqual([]);
    expect(written.at(-1)).toBe('nack 1');
  });

  it('are written before everything else is returned', () => {
    const { owner, written, receive } = settlements(10);
    const [one, two, three] = receive(3) as UnsettledDelivery[];
    owner.hold();
    owner.settle(one as UnsettledDelivery, 'ack');
    owner.settle(three as UnsettledDelivery, 'return');
    expect(owner.returnAll()).toEqual([two]);
    expect(written).toEqual(['ack 1', 'nack 3', 'nack all']);
    expect(owner.size).toBe(0);
  });
});

describe('a delivery', () => {
  it('is settled once, by the first who does', () => {
    const { owner, written, receive } = settlements(10);
    const [one] = receive(1) as [UnsettledDelivery];
    expect(owner.settle(one, 'return')).toBe(true);
    expect(owner.settle(one, 'ack')).toBe(false);
    expect(written).toEqual(['nack 1']);
  });

  it.each([0, -1, 1.5, Number.NaN, 2 ** 53, 2 ** 64 - 1])('with the tag %d can’t be settled', (tag) => {
    expect(settlements(10).owner.receive(tag)).toBeUndefined();
  });

  it('with a tag that came before can’t be settled', () => {
    const { owner, receive } = settlements(10);
    receive(3);
    expect(owner.receive(3)).toBeUndefined();
    expect(owner.receive(2)).toBeUndefined();
    expect(owner.receive(5)?.tag).toBe(5);
  });
});

describe.each(['quorum', 'classic'] as const)('the end of a single active consumer (%s)', (type) => {
  it('settles at the broker all that was settled here, however late, and reports the rest as lost', async () => {
    const broker = new ModelBroker(type, 12);
    const open: { message: number; unsettled: UnsettledDelivery }[] = [];
    const over = new Set<UnsettledDelivery>();
    let lost = 0;
    const channel = await ConsumerChannel.open(broker.connection, 'q', settings(4, true), {
      onMessage: ({ content }, unsettled, source) => {
        if (ending !== undefined) {
          source.settle(unsettled, 'return');
          return;
        }
        open.push({ message: Number(content), unsettled });
        unsettled.holder = {
          isMoving: false,
          lose: () => !over.has(unsettled) && over.add(unsettled) !== undefined,
        } as Partial<HeldDelivery> as HeldDelivery;
      },
      onLost: undefined,
    });
    let ending: Promise<void> | undefined;
    let isOver = false;
    await channel.start();
    broker.pumpAll();
    ending = channel.cancel().then(() => channel.close(new Error('closed'), () => void lost++));
    void ending.then(() => {
      isOver = true;
    });
    while (!isOver) {
      // Each wait of the closing ends with an answer, and a handler ends during each.
      const next = open.find(({ unsettled }) => !over.has(unsettled));
      if (next !== undefined && broker.wires.toChannel.length > 0) {
        over.add(next.unsettled);
        broker.done.add(next.message);
        channel.settle(next.unsettled, 'ack');
      }
      broker.pumpAll();
      await new Promise(setImmediate);
    }
    broker.pumpAll();
    expect(broker.done.size).toBeGreaterThan(0);
    expect(broker.acked).toEqual(broker.done);
    expect(broker.acked.size + lost).toBe(4);
  });
});

it('a consumer that the broker cancels ends after its messages are reported as lost: the next one may get them', async () => {
  const broker = new ModelBroker('quorum', 1);
  const order: string[] = [];
  const channel = await ConsumerChannel.open(broker.connection, 'q', settings(1, false), {
    onMessage: (_, unsettled) => {
      unsettled.holder = { isMoving: false, lose: () => true } as Partial<HeldDelivery> as HeldDelivery;
    },
    onLost: () => void order.push('lost'),
  });
  await channel.start();
  broker.cancelConsumer();
  const ended = channel.ended.then(() => order.push('ended'));
  while (order.length < 2) {
    broker.pumpAll();
    await new Promise(setImmediate);
  }
  await ended;
  expect(order).toEqual(['lost', 'ended']);
});

type Step =
  | { readonly kind: 'pump'; readonly wire: keyof ModelBroker['wires']; readonly times: number }
  | { readonly kind: 'settle'; readonly how: 'ack' | 'return' | 'fail' | 'reject'; readonly which: number }
  | { readonly kind: 'turn' | 'cancel' | 'close' | 'lose' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('pump' as const),
      wire: fc.constantFrom('toChannel', 'toQueue', 'fromQueue', 'toClient'),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      how: fc.constantFrom('ack', 'ack', 'ack', 'return', 'fail', 'reject'),
      which: fc.nat({ max: 20 }),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ kind: 'turn' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('cancel' as const, 'cancel' as const, 'close' as const) }),
  },
);

const MESSAGES = 30;

describe.each([
  ['quorum', false],
  ['classic', false],
  ['quorum', true],
  ['classic', true],
] as const)(
  'whatever the order of events and the latency (%s, single active consumer: %s)',
  (type, isSingleActive) => {
    async function run(steps: readonly Step[], prefetch: number) {
      const broker = new ModelBroker(type, MESSAGES);
      const open: { message: number; unsettled: UnsettledDelivery }[] = [];
      /** Those whose order a stop promises to keep: they were not settled before it began. */
      const undisturbed = new Set(Array.from({ length: MESSAGES }, (_, index) => index));
      let stopped = false;
      const channel = await ConsumerChannel.open(broker.connection, 'q', settings(prefetch, isSingleActive), {
        onMessage: (raw, unsettled, source) => {
          if (stopped) source.settle(unsettled, 'return');
          else open.push({ message: Number(raw.content), unsettled });
        },
        onLost: undefined,
      });
      await channel.start();
      let ending: Promise<void> | undefined;
      let cancelling: Promise<void> | undefined;
      const begin = (kind: 'cancel' | 'close') => {
        stopped = true;
        cancelling ??= channel.cancel();
        if (kind === 'close') ending ??= cancelling.then(() => channel.close(new Error('closed'), undefined));
      };
      for (const each of steps) {
        if (each.kind === 'pump') for (let times = 0; times < each.times; times++) broker.pump(each.wire);
        else if (each.kind === 'turn') await new Promise(setImmediate);
        else if (each.kind === 'lose') broker.lose();
        else if (each.kind === 'settle') {
          const [delivery] = open.splice(each.which % Math.max(1, open.length), 1);
          if (delivery === undefined) continue;
          const { message, unsettled } = delivery;
          if (each.how === 'ack') broker.done.add(message);
          if (each.how === 'fail' || (each.how === 'return' && !stopped)) undisturbed.delete(message);
          channel.settle(unsettled, each.how);
        } else begin(each.kind);
      }
      // Nothing that runs is left: those not begun go back first, and then the handlers end.
      begin('cancel');
      for (const { message, unsettled } of open.splice(0)) {
        if (message % 3 === 0) broker.done.add(message);
        channel.settle(unsettled, message % 3 === 0 ? 'ack' : 'return');
      }
      begin('close');
      let isOver = false;
      void ending?.then(() => {
        isOver = true;
      });
      while (!isOver) {
        broker.pumpAll();
        await new Promise(setImmediate);
      }
      broker.pumpAll();
      return { broker, undisturbed };
    }

    it('nothing that is not done is acknowledged, no tag is settled twice, and all else is in the queue again', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.oneof(
              { weight: 30, arbitrary: step },
              { weight: 1, arbitrary: fc.constant({ kind: 'lose' as const }) },
            ),
            {
              maxLength: 60,
            },
          ),
          fc.integer({ min: 1, max: 12 }),
          async (steps, prefetch) => {
            const { broker } = await run(steps, prefetch);
            expect(broker.violations).toEqual([]);
            const all = [...broker.queue, ...broker.acked, ...broker.dropped].sort((a, b) => a - b);
            expect(all).toEqual(Array.from({ length: MESSAGES }, (_, index) => index));
            if (!steps.some(({ kind }) => kind === 'lose')) expect(broker.acked).toEqual(broker.done);
          },
        ),
        { numRuns: 150 },
      );
    });

    it('what a stop returns keeps its order', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { maxLength: 60 }),
          fc.integer({ min: 1, max: 12 }),
          async (steps, prefetch) => {
            const { broker, undisturbed } = await run(steps, prefetch);
            const order = broker.queue.filter((message) => undisturbed.has(message));
            expect(order).toEqual(order.toSorted((a, b) => a - b));
          },
        ),
        { numRuns: 150 },
      );
    });
  },
);
