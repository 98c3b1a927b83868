import { expect } from 'vitest';
import type { Backend, SharedState } from '../../../src/broker.js';
import { defineExchange } from '../../../src/exchange.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { type ContractContext, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** A number that only grows, and the reported values. */
class Counter {
  state!: SharedState;
  /** Undefined while it is another's turn. */
  value: number | undefined;

  static async open(broker: Backend, name: string): Promise<Counter> {
    const counter = new Counter();
    counter.state = await broker.openState(name, {
      initial: '0',
      merge: (value, other) => String(Math.max(Number(value) || 0, Number(other) || 0)),
      onTurn: (value) => {
        counter.value = Number(value);
      },
      onLost: () => {
        counter.value = undefined;
      },
    });
    return counter;
  }

  /** Adds one, with a message of that number; false if another one was first. */
  async increment(queue: string): Promise<boolean> {
    const { value } = this;
    if (value === undefined) return false;
    const next = String(value + 1);
    const to = { exchange: '', routingKey: queue };
    const own = message({ id: next, body: next });
    const isSet = await this.state.set(next, { to, mandatory: true, message: own });
    if (isSet) this.value = value + 1;
    return isSet;
  }
}

async function messagesOf(t: ContractContext, queue: string, count: number): Promise<string[]> {
  const inbox = await t.inbox(queue);
  return inbox.ackNext(count);
}

export const sharedStateCases: Cases = {
  'of several programs one at a time sets a shared state, and its message is stored with it': async (t) => {
    const { name: queue } = await t.declare();
    const [one, other] = await t.connections(2);
    const name = `schedule.${t.queueName()}`;
    const counters = [await Counter.open(one as Backend, name), await Counter.open(other as Backend, name)];
    let sum = 0;
    const count = async (counter: Counter) => {
      while (sum < 20) {
        if (await counter.increment(queue)) sum++;
        else await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    await Promise.all(counters.map(count));
    const ids = await messagesOf(t, queue, sum);
    expect(ids).toEqual(Array.from({ length: sum }, (_, index) => String(index + 1)));
    for (const { state } of counters) await state.close();
  },

  'who has a shared state next has the value that was set last': async (t) => {
    const { name: queue } = await t.declare();
    const [one, other] = await t.connections(2);
    const name = `schedule.${t.queueName()}`;
    const first = await Counter.open(one as Backend, name);
    await eventually(() => first.value === 0);
    for (let number = 1; number <= 3; number++) expect(await first.increment(queue)).toBe(true);
    const second = await Counter.open(other as Backend, name);
    await first.state.close();
    await eventually(() => second.value === 3);
    expect(await second.increment(queue)).toBe(true);
    await second.state.close();
    const third = await Counter.open(one as Backend, name);
    await eventually(() => third.value === 4);
    await third.state.close();
  },

  'a shared state can be viewed while it has no holder': async (t) => {
    const name = `schedule.${t.queueName()}`;
    expect((await t.broker.viewState(name)).values).toEqual([]);
    const { name: queue } = await t.declare();
    const counter = await Counter.open(t.broker, name);
    await eventually(() => counter.value === 0);
    await counter.increment(queue);
    await counter.state.close();
    // At once: a program that has stopped does not look like one that still runs.
    const { values, isHeld } = await t.broker.viewState(name);
    expect(Math.max(...values.map(Number))).toBe(1);
    expect(isHeld).not.toBe(true);
  },

  'a state whose message finds no room, or no queue, keeps its value': async (t) => {
    const queue = await t.declare({ capacity: 3 });
    const name = `schedule.${t.queueName()}`;
    const counter = await Counter.open(t.broker, name);
    await eventually(() => counter.value === 0);
    await rejection(counter.increment(t.queueName()), 'UNROUTABLE');
    await t.fill(queue);
    await rejection(counter.increment(queue.name), 'FULL');
    expect(counter.value).toBe(0);
    await t.broker.purge(queue.name);
    await eventually(() => counter.increment(queue.name));
    await counter.state.close();
  },

  'a message that is set with a state may go through an exchange, to all its queues or to none': async (
    t,
  ) => {
    const exchange = defineExchange(t.queueName(), { type: 'topic' });
    const bindings = [{ exchange, routingKey: 'tick.#' }];
    const [one, other] = [await t.declare({ bindings }), await t.declare({ bindings })];
    const name = `schedule.${t.queueName()}`;
    const counter = await Counter.open(t.broker, name);
    await eventually(() => counter.value === 0);
    const { state } = counter;
    const set = (value: string, routingKey: string, mandatory: boolean) =>
      state.set(value, {
        to: { exchange: exchange.name, routingKey },
        mandatory,
        message: message({ id: value }),
      });
    expect(await set('1', 'tick.day', true)).toBe(true);
    for (const { name } of [one, other]) {
      const { message: got } = await (await t.inbox(name)).next();
      expect(got).toMatchObject({ id: '1', origin: { exchange: exchange.name, routingKey: 'tick.day' } });
    }
    expect(await set('2', 'else', false)).toBe(true);
    await rejection(set('3', 'else', true), 'UNROUTABLE');
    const delayed = message({ id: '3', dueAt: Date.now() + 60_000 });
    const to = { exchange: exchange.name, routingKey: 'tick.day' };
    await rejection(state.set('3', { to, mandatory: true, message: delayed }), 'INVALID_MESSAGE');
    await state.close();
    await untilAsserted(async () => {
      expect((await t.broker.viewState(name)).values.map(Number)).toContain(2);
    });
  },
};
