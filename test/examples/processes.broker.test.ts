import { expect, onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { removeQueues } from '../support/remove-queues.js';
import { Example } from './run-example.js';

test('processes: all jobs are done though a consumer is killed, and the producer ends by itself, on RabbitMQ', async () => {
  const prefix = uniqueName('processes');
  onTestFinished(() => removeQueues(prefix));
  const example = new Example('processes', '-u', amqpUrl(), '--prefix', prefix);

  expect(await example.exit(), example.stderr).toBe(0);
  expect(example.lines).toContain('producer: 40 jobs are stored');
  expect(example.lines.at(-1)).toBe('40 jobs done, most of them by Ben; Ann was killed');
  expect(example.stdout).toMatch(/^Ben: job \d+ comes again, whoever had it before is gone$/m);
});
