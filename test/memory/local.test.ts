import { expect, test } from 'vitest';
import { MIB, runSlowConsumer } from './run-slow-consumer.js';

test('a million messages to a consumer ten times slower keep memory within 50 MiB of its start', async () => {
  const report = await runSlowConsumer('local:', 'slow', 1_000_000);

  expect(report.handled).toBe(1_000_000);
  expect(report.left).toBe(0);
  expect(report.greatestDepth, 'the back-pressure was reached').toBeGreaterThan(900);
  expect(report.greatestDepth).toBeLessThanOrEqual(1024);
  expect(report.peakBytes - report.startBytes).toBeLessThan(50 * MIB);
});
