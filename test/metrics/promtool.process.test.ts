import { spawn } from 'node:child_process';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../../src/connect.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { RejectMessage } from '../../src/errors.js';
import { createMetrics } from '../../src/metrics/index.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { missingPackage, succeeds } from '../support/debian-package.js';
import { eventually } from '../support/eventually.js';

let missing: string | undefined;
beforeAll(async () => {
  missing = await missingPackage('prometheus', () => succeeds('promtool', '--version'));
});

/** What promtool says of a text, and its exit code. */
function checkMetrics(text: string): Promise<{ readonly code: number | null; readonly said: string }> {
  return new Promise((resolve, reject) => {
    const tool = spawn('promtool', ['check', 'metrics']);
    let said = '';
    tool.stdout.on('data', (data) => (said += data));
    tool.stderr.on('data', (data) => (said += data));
    tool.on('error', reject).on('close', (code) => resolve({ code, said }));
    tool.stdin.end(text);
  });
}

test('promtool accepts the metrics', async ({ skip }) => {
  skip(missing !== undefined, missing);
  const broker = await connect('local:');
  const queue = defineQueue('a "quoted" \\ name, 🐇', z.string());
  const metrics = createMetrics({ brokers: [broker], queues: [queue], process: true });
  const consumer = createConsumer(
    broker,
    queue,
    (value) => {
      if (value === 'bad') throw new RejectMessage('bad');
      if (value === 'once') throw new Error('once');
    },
    { retry: { delaysMs: [0] }, observe: () => {} },
  );
  await consumer.start();
  await createProducer(broker, queue).sendMany(['good', 'bad', 'once']);
  await eventually(() => consumer.counts.deadLettered === 2);
  const text = await metrics.text();
  expect(await checkMetrics(text)).toEqual({ code: 0, said: '' });
  // Or it would find nothing to say about anything.
  expect((await checkMetrics(`${text}# TYPE bad counter\nbad 1\n`)).said).toContain('bad');
  await consumer.stop();
  metrics.stop();
  await broker.close();
});
