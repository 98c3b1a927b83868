import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Check } from '../../../src/cli/doctor/check.js';
import { bindingChecks } from '../../../src/cli/doctor/exchange-checks.js';
import { openMemoryBroker } from '../../../src/local-queue/memory/broker.js';
import { defineQueue } from '../../../src/queue.js';

test('of thousands of bindings the first ones are shown, and how many there are', async () => {
  await using broker = openMemoryBroker();
  const bindings = Array.from({ length: 3000 }, (_, key) => ({
    exchange: 'amq.topic',
    routingKey: `key.${key}`,
  }));
  const { spec } = defineQueue('q', z.unknown(), { bindings });
  const [missing] = await checksOf();
  expect(missing).toMatchObject({ text: expect.stringMatching(/^'q' lacks .*"key.9" and 2990 more$/) });
  await broker.declare(spec);
  const [all] = await checksOf();
  expect(all).toMatchObject({ text: expect.stringMatching(/^'q' has .*"key.9" and 2990 more$/) });

  async function checksOf() {
    await broker.declare({ ...spec, bindings: [] });
    const checks: Check[] = [];
    for await (const check of bindingChecks(broker, [spec])) checks.push(check);
    return checks;
  }
});
