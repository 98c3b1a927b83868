/** What a person types to try a queue of an application, and what becomes of it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../../src/connect.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue, type QueueOptions } from '../../src/queue.js';
import { amqpUrl } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { queueNames } from './support/queues.js';
import { millrace } from './support/spawn-millrace.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-by-hand-'));
afterAll(() => rmSync(folder, { recursive: true }));
const local = `local:${join(folder, 'queues')}`;
const nextQueue = queueNames('cli-by-hand');
const order = z.object({ id: z.string() });

async function handledBy(url: string, name: string, options: QueueOptions<{ id: string }>, count: number) {
  const broker = await connect(url);
  onTestFinished(() => broker.close());
  const queue = defineQueue(name, order, options);
  await createProducer(broker, queue).send({ id: 'code' });
  const handled: string[] = [];
  const failed: string[] = [];
  const consumer = createConsumer(broker, queue, ({ id }) => handled.push(id), {
    retry: { delaysMs: [] },
    observe: (event) => {
      if (event.type === 'dead-lettered') failed.push(event.failure.error);
    },
  });
  await consumer.start();
  await eventually(() => handled.length + failed.length === count);
  await consumer.stop();
  return { handled, failed };
}

test.each([
  ['on disk', local],
  ['on RabbitMQ', amqpUrl()],
])('a queue that send and work use is the same as the one that code defines, %s', async (_, url) => {
  const [first, second] = [nextQueue(), nextQueue()];
  // Touched by the command line first.
  expect((await millrace(['send', '-q', first, '{"id":"typed"}', '-u', url])).exitCode).toBe(0);
  await expect(handledBy(url, first, {}, 2)).resolves.toMatchObject({
    handled: ['typed', 'code'],
  });
  // Touched by code first.
  expect((await handledBy(url, second, {}, 1)).handled).toEqual(['code']);
  expect((await millrace(['send', '-q', second, '{"id":"typed"}', '-u', url])).exitCode).toBe(0);
  expect(await millrace(['work', '-q', second, '--drain', '-u', url])).toMatchObject({
    exitCode: 0,
    stdout: ` [x] Received '{"id":"typed"}'\n`,
  });
});

test('a handler module gets JSON that was typed as a value', async () => {
  const handler = join(folder, 'handler.mjs');
  writeFileSync(handler, 'export default (value) => console.log(typeof value, value.id);');
  const queue = nextQueue();
  await millrace(['send', '-q', queue, '{"id":"typed"}', '-u', local]);
  const { stdout } = await millrace(['work', handler, '-q', queue, '--drain', '-u', local]);
  expect(stdout).toBe('object typed\n');
});

test('a dead letter of text for a queue of objects says what was wrong and what to do', async () => {
  const queue = nextQueue();
  await millrace(['send', '-q', queue, '{"id":oops}', '-u', local]);
  const { failed } = await handledBy(local, queue, {}, 2);
  expect(failed).toEqual([
    expect.stringMatching(
      /expected object.*labelled "text\/plain".*expects application\/json: send it with that content type/,
    ),
  ]);
});

test('--exec gets the content type, and the address unless it contains a password', async () => {
  const queue = nextQueue();
  const exec = ['--exec', 'echo "$MILLRACE_CONTENT_TYPE $MILLRACE_URL $MILLRACE_URL_FILE"'];
  const work = async (address: readonly string[], more: readonly string[] = []) => {
    await millrace(['send', '-q', queue, '[1]', ...address]);
    return (await millrace(['work', '-q', queue, '--drain', ...exec, ...address, ...more])).stdout;
  };
  expect(await work(['-u', local])).toBe(`application/json ${local} \n`);
  expect(await work(['-u', amqpUrl()])).toBe('application/json  \n');
  expect(await work(['-u', amqpUrl()], ['--pass-url'])).toBe(`application/json ${amqpUrl()} \n`);
  const file = join(folder, 'address');
  writeFileSync(file, local);
  expect(await work(['--url-file', file])).toBe(`application/json  ${file}\n`);
});
