import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { BoundedTarget, type BoundedTargetSettings } from '../../../src/rabbitmq/publish/bounded-target.js';
import { PendingPublish } from '../../../src/rabbitmq/publish/pending-publish.js';
import type { WireProperties } from '../../../src/rabbitmq/wire/amqp-message.js';
import { eventually } from '../../support/eventually.js';

const nothing = () => {};
const errors: unknown[] = [];
let position = 0;

afterEach(() => {
  errors.length = 0;
});

function pending(options = {}): PendingPublish {
  const wire = {
    exchange: '',
    routingKey: 'q',
    id: `m${position}`,
    content: 'x',
    options: {} as WireProperties,
  };
  const listener = { onAborted: nothing, onSettled: nothing, onUnroutable: nothing };
  return new PendingPublish(wire, position++, options, nothing, (error) => errors.push(error), listener);
}

function target(settings: Partial<BoundedTargetSettings>): BoundedTarget {
  const made = new BoundedTarget({
    capacity: 10,
    ready: async () => 0,
    isHeld: () => false,
    wake: nothing,
    ...settings,
  });
  onTestFinished(() => made.stop());
  return made;
}

/** Sends until the target asks for room, and returns how many it let go. */
function send(on: BoundedTarget): number {
  let sent = 0;
  for (; sent < 100 && on.maySend(pending()); sent++) on.onSent();
  return sent;
}

/** Sends until there is no room, whatever is asked meanwhile. */
async function sendAll(on: BoundedTarget): Promise<number> {
  let sent = 0;
  for (let round = 0; round < 20; round++) {
    sent += send(on);
    await new Promise(setImmediate);
  }
  return sent;
}

describe('a queue with a capacity', () => {
  it('gets no more than fit, with what is unconfirmed counted as there', async () => {
    let ready = 3;
    const queue = target({ ready: async () => ready });
    expect(await sendAll(queue)).toBe(7);
    // The broker has stored four of them, and confirmed none.
    ready = 7;
    expect(await sendAll(queue)).toBe(0);
    // Two are handled, and nothing is unconfirmed any more.
    for (let count = 0; count < 7; count++) queue.onAnswered();
    ready = 8;
    await eventually(async () => (await sendAll(queue)) === 2);
  });

  it('gets nothing on a new channel before it is asked for room again', async () => {
    const queue = target({});
    expect(send(queue)).toBe(0);
    await new Promise(setImmediate);
    expect(queue.maySend(pending())).toBe(true);
    queue.onSent();
    queue.onChannelLost();
    expect(queue.maySend(pending())).toBe(false);
    await new Promise(setImmediate);
    expect(await sendAll(queue)).toBe(10);
  });

  it('refuses a sender that does not wait only after it was asked for room', async () => {
    let ready = 10;
    const queue = target({ ready: async () => ready });
    const hasty = pending({ noWait: true });
    expect(queue.maySend(hasty)).toBe(false);
    queue.waiting.add(hasty);
    await eventually(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: 'FULL' });
    ready = 9;
    const lucky = pending({ noWait: true });
    expect(queue.maySend(lucky)).toBe(false);
    queue.waiting.add(lucky);
    await new Promise(setImmediate);
    expect(queue.maySend(lucky)).toBe(true);
    expect(errors).toHaveLength(1);
  });

  it('is sent nothing while it is held', async () => {
    let isHeld = true;
    let woken = 0;
    const queue = target({ isHeld: () => isHeld, wake: () => woken++ });
    expect(queue.maySend(pending())).toBe(false);
    isHeld = false;
    await eventually(() => woken > 0);
    expect(await sendAll(queue)).toBe(10);
  });
});
