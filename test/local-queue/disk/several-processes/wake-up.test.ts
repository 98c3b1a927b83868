import { expect, test } from 'vitest';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import { newFolder, plainQueue } from '../folders.js';
import { Actor } from './actor.js';

const TIMES = 21;
/** A process that was not woken finds a message only when it looks by itself, twice a second. */
const AT_MOST_MS = 100;

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

async function timed(action: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await action();
  return performance.now() - begin;
}

test('a worker of another process is woken by a message, before it would poll', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('grain'));
  const worker = await Actor.open(folder);
  await worker.tell('subscribe', { queue: 'grain', prefetch: 1 });
  const handOvers: number[] = [];
  /** A question to the worker and its answer, for the time that processes take on this machine just now. */
  const answers: number[] = [];
  for (let time = 0; time < TIMES; time++) {
    const id = String(time);
    const message = { id, contentType: 'text/plain', headers: {}, body: 'x' };
    // The worker's own turns come at any moment: each time another one.
    await new Promise((resolve) => setTimeout(resolve, 37 * (time % 7)));
    await broker.publish({ exchange: '', routingKey: 'grain' }, message);
    handOvers.push(await timed(() => worker.delivery()));
    await worker.tell('ack', { id });
    answers.push(await timed(() => worker.tell('inspect', { queue: 'grain' })));
  }
  await broker.close();
  expect(median(handOvers) - 2 * median(answers)).toBeLessThan(AT_MOST_MS);
});
