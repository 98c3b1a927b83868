import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { backendOf } from '../../src/backend.js';
import { connect } from '../../src/connect.js';
import { deadLetters } from '../../src/dead-letters/dead-letters.js';
import { moveMessages } from '../../src/operations/move.js';
import { defineQueue } from '../../src/queue.js';
import { newFolder } from '../local-queue/disk/folders.js';

const MIB = 2 ** 20;
const COUNT = 20;

async function openBackend() {
  const broker = await connect('local:', { maxMessageBytes: 4 * MIB });
  onTestFinished(() => broker.close());
  return { broker, backend: backendOf(broker) };
}

/** A queue that takes the next message only when one has been handled. */
async function declareSlow(backend: ReturnType<typeof backendOf>, name: string): Promise<void> {
  await backend.declare(defineQueue(name, z.unknown(), { capacity: 1 }).spec);
  await backend.subscribe(name, { prefetch: 1 }, (delivery) => void setTimeout(() => delivery.ack(), 10));
}

/** More of them than are held at a time, of which 64 MiB are. */
async function fill(backend: ReturnType<typeof backendOf>, queue: string): Promise<void> {
  for (let id = 0; id < COUNT; id++) {
    const body = Buffer.alloc(3 * MIB);
    await backend.publish(
      { exchange: '', routingKey: queue },
      { id: String(id), contentType: '', headers: {}, body },
    );
  }
}

describe('large messages', () => {
  it('are all moved, though few of them can be held at a time', async () => {
    const { broker, backend } = await openBackend();
    await backend.declare(defineQueue('from', z.unknown()).spec);
    await declareSlow(backend, 'to');
    await fill(backend, 'from');
    expect(await moveMessages(broker, 'from', 'to')).toEqual({ moved: COUNT, left: 0, total: COUNT });
  });

  it('are all replayed, though few of them can be held at a time', async () => {
    const { broker, backend } = await openBackend();
    await backend.declare(defineQueue('work', z.unknown()).spec);
    await fill(backend, 'work.dead');
    await declareSlow(backend, 'slow');
    const result = await deadLetters(broker, 'work').replay({ to: 'slow' });
    expect(result).toMatchObject({ replayed: COUNT, total: COUNT });
  });
});

it('a message that cannot be sent stays, is named, and keeps none behind it from being moved', async () => {
  const address = `local:${newFolder()}`;
  const writer = await connect(address, { maxMessageBytes: 4 * MIB });
  onTestFinished(() => writer.close());
  const backend = backendOf(writer);
  for (const name of ['from', 'to']) await backend.declare(defineQueue(name, z.unknown()).spec);
  for (const [id, bytes] of [
    ['large', 2 * MIB],
    ['small', 1],
    ['last', 1],
  ] as const) {
    const body = Buffer.alloc(bytes);
    await backend.publish({ exchange: '', routingKey: 'from' }, { id, contentType: '', headers: {}, body });
  }
  const mover = await connect(address);
  onTestFinished(() => mover.close());
  const left: unknown[] = [];
  const onLeft = (id: string, { code }: { code: string }) => left.push([id, code]);
  expect(await moveMessages(mover, 'from', 'to', { limit: 2, onLeft })).toEqual({
    moved: 2,
    left: 1,
    total: 3,
  });
  expect(left).toEqual([['large', 'TOO_LARGE']]);
  expect((await mover.inspect('from')).ready).toBe(1);
});

it('a schema that never answers ends a replay at its time limit', async () => {
  const { broker, backend } = await openBackend();
  const never = z.unknown().refine(() => new Promise<boolean>(() => {}));
  const queue = defineQueue('work', never);
  await backend.declare(queue.spec);
  const destination = { exchange: '', routingKey: 'work.dead' };
  await backend.publish(destination, { id: 'a', contentType: 'application/json', headers: {}, body: '1' });
  const error = await deadLetters(broker, queue)
    .replay({ timeoutMs: 500, to: 'work' })
    .catch((reason) => reason);
  expect(error).toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringContaining('checking dead letter a'),
  });
});
