import { expect, test } from 'vitest';
import { amqpUrl, managementApi } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { Millrace, millrace } from '../support/spawn-millrace.js';

test('the demo explains itself, shows its progress by lines and concludes', async () => {
  const { exitCode, stdout, stderr } = await millrace(['demo', '--seconds', '2', '--handle', '5ms']);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(stdout).toContain('a queue of 100 messages between them, in the memory of this process');
  expect(stdout).toMatch(/^ +1\.\d s {2}\[#+\.*\] \d+\/100 in the queue {2}sent \d+ {2}handled \d+/m);
  expect(stdout).toContain('slowed to the pace of the consumer');
  expect(stdout).toContain('every message sent was handled');
  // Nothing that draws on a terminal.
  expect(stdout).not.toContain('\u001b');
  expect(stdout).not.toContain('\r');
});

test('it ends with a message from one process to another, through the queue on disk', async () => {
  const { exitCode, stdout } = await millrace(['demo', '--messages', '1']);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/millrace send 'Hello World!'\n {2}\[x\] Sent 'Hello World!'\n/);
  expect(stdout).toMatch(/millrace work --count 1\n {2}\[x\] Received 'Hello World!'\n$/);
});

test('it sends the given number of messages, and all are handled', async () => {
  const { exitCode, stdout } = await millrace(['demo', '--messages', '300', '--handle', '1ms', '--json']);
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
    type: 'summary',
    sent: 300,
    handled: 300,
    deepest: 100,
  });
});

test('CTRL+C ends it with its summary', async () => {
  const demo = new Millrace(['demo', '--seconds', '600']);
  await demo.said('in the queue');
  demo.child.kill('SIGINT');
  expect(await demo.exit()).toBe(0);
  expect(demo.stdout).toContain('longest wait');
  expect(demo.stdout).toContain('had not been handled at the end');
});

test('it does not look at the environment for a broker', async () => {
  const env = { MILLRACE_URL: 'amqp://127.0.0.1:1', AMQP_URL: 'amqp://127.0.0.1:1' };
  expect((await millrace(['demo', '--messages', '1'], { env })).exitCode).toBe(0);
});

test('it shows the same on RabbitMQ, and leaves nothing behind', async () => {
  const { exitCode, stdout } = await millrace([
    'demo',
    ...['--seconds', '600', '--messages', '20', '--capacity', '2', '--handle', '200ms'],
    ...['-u', amqpUrl()],
  ]);
  expect(exitCode).toBe(0);
  expect(stdout).toContain('slowed to the pace of the consumer');
  expect(stdout).toContain('every message sent was handled');
  await eventually(async () => {
    const queues = (await managementApi('GET', '/api/queues?disable_stats=true')) as { name: string }[];
    return !queues.some(({ name }) => name.startsWith('millrace-demo-'));
  });
});
