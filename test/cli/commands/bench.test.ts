import { expect, test } from 'vitest';
import { amqpUrl } from '../../support/broker.js';
import { Millrace, millrace } from '../support/spawn-millrace.js';

function lastJson(stdout: string): Record<string, unknown> {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
}

test('the bench shows rates and latencies by intervals, and sums them up', async () => {
  const { exitCode, stdout, stderr } = await millrace(['bench', '-z', '2']);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(stdout).toContain('1 producer and 1 consumer, 100 bytes per message, for 2 s');
  expect(stdout).toMatch(/^ +\d\.\d s {2}sent [\d,]+\/s {2}received [\d,]+\/s {2}confirmed in .* ms/m);
  expect(stdout).toMatch(/^handled in +median .* ms, p95 .* ms, p99 .* ms, longest .* ms$/m);
});

test('as JSON it gives a line an interval and a summary, in which all that was sent is received', async () => {
  const args = ['bench', '-z', '2', '--interval', '100ms', '-x', '2', '-y', '3', '-s', '64', '--json'];
  const { exitCode, stdout } = await millrace(args);
  expect(exitCode).toBe(0);
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.filter(({ type }) => type === 'interval').length).toBeGreaterThanOrEqual(2);
  const summary = lines.at(-1);
  expect(summary).toMatchObject({ type: 'summary', received: summary.sent });
  expect(summary.sent).toBeGreaterThan(0);
  expect(summary.latencyMs.p50).toBeLessThanOrEqual(summary.latencyMs.p99);
});

test('producers keep to the rate they are given', async () => {
  const { stdout } = await millrace(['bench', '-z', '2', '-x', '2', '-r', '50', '--json']);
  const { sent } = lastJson(stdout);
  // 2 producers, 2 s, 50 a second each; a busy machine may let them fall behind, never go ahead.
  expect(sent).toBeGreaterThan(0);
  expect(sent).toBeLessThanOrEqual(202);
});

test.each(['quorum', 'classic'])('it measures RabbitMQ with a %s queue', async (type) => {
  const args = ['bench', '-z', '1', '--type', type, '--confirm-window', '50', '--json', '-u', amqpUrl()];
  const { exitCode, stdout } = await millrace(args);
  expect(exitCode).toBe(0);
  const summary = lastJson(stdout);
  expect(summary).toMatchObject({ type: 'summary', received: summary.sent });
});

test('CTRL+C ends it with its summary', async () => {
  const bench = new Millrace(['bench', '-z', '600']);
  await bench.said('received');
  bench.child.kill('SIGINT');
  expect(await bench.exit()).toBe(0);
  expect(bench.stdout).toContain('peak memory');
});

test('a size that can not hold the time of sending is a usage error', async () => {
  const { exitCode, stderr } = await millrace(['bench', '-s', '7']);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('at least 8');
});
