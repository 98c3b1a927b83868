import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { defineQueue } from '../../src/queue.js';
import { defineSchedule } from '../../src/schedules/schedule.js';
import { createScheduler, forgetSchedule } from '../../src/schedules/scheduler.js';
import { TcpProxy } from '../../src/testing/tcp-proxy.js';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { connect } from '../support/connect.js';
import { eventually } from '../support/eventually.js';
import { rejection } from '../support/rejection.js';
import { removeQueues } from '../support/remove-queues.js';

/** A broker behind a proxy, and a name for what the test makes there. */
async function behindProxy() {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  // Without heartbeats nothing but the time limits of the toolkit ends a wait.
  const address = new URL(proxy.url(amqpUrl()));
  address.searchParams.set('heartbeat', '0');
  const broker = await connect(address.href);
  const name = uniqueName('schedule-outage');
  onTestFinished(async () => {
    proxy.thaw();
    await broker.close();
    await proxy.close();
    await removeQueues(name);
    await removeQueues(`millrace.schedule.${name}`);
  });
  return { proxy, broker, name };
}

test('a scheduler stops while the broker does not answer', async () => {
  const { proxy, broker, name } = await behindProxy();
  const queue = defineQueue(name, z.string());
  let begun = 0;
  const value = () => {
    // No answer comes for the message of this tick.
    if (++begun === 3) proxy.freeze();
    return 'x';
  };
  const schedule = defineSchedule(name, { everyMs: 100, send: [queue, value] });
  const scheduler = createScheduler(broker, [schedule]);
  await scheduler.start();
  await eventually(() => begun === 3);
  await scheduler.stop();
  expect(broker.state).toBe('connected');
});

test('a state that is being set when the broker is closed keeps nothing running', async () => {
  const { proxy, broker, name } = await behindProxy();
  let hasTurn = false;
  let losses = 0;
  const state = await broker.openState(`schedule.${name}`, {
    initial: '0',
    merge: (value, other) => String(Math.max(Number(value), Number(other))),
    onTurn: () => {
      hasTurn = true;
    },
    onLost: () => losses++,
  });
  await eventually(() => hasTurn);
  proxy.freeze();
  const setting = state.set('1');
  await broker.close();
  expect(await setting).toBe(true);
  await eventually(() => losses === 1);
  await state.close();
});

test('forgetting a schedule that is held takes no longer than its time limit', async () => {
  const { broker, name } = await behindProxy();
  const queue = defineQueue(name, z.string());
  const schedule = defineSchedule(name, { cron: '0 0 29 2 *', send: [queue, 'x'] });
  let isHeld = false;
  await using scheduler = createScheduler(broker, [schedule], {
    observe: (event) => {
      if (event.type === 'held') isHeld = true;
    },
  });
  await scheduler.start();
  await eventually(() => isHeld);
  await rejection(forgetSchedule(broker, name, { timeoutMs: 1000 }), 'INVALID_OPTION');
});
