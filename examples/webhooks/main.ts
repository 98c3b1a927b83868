/** Webhooks to a partner that accepts ten per second, asks for a pause, and is down for a while. None is lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createProducer, defineQueue, Postpone } from 'millrace';
import { z } from 'zod';
import { Partner } from './partner.ts';

const WEBHOOKS = 30;
const RATE = { limit: 10, perMs: 1000 };

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'webhooks' },
  },
});
const partner = new Partner();
const address = await partner.open();
const broker = await connect(values.url);
const webhooks = defineQueue(values.prefix, z.object({ path: z.string() }));

async function deliver({ path }: { readonly path: string }, signal: AbortSignal): Promise<void> {
  const response = await fetch(address + path, { method: 'POST', signal });
  await response.arrayBuffer();
  // They have said when, in seconds (or as a date, which is not read here): that is no failure.
  if (response.status === 429) throw new Postpone((Number(response.headers.get('retry-after')) || 30) * 1000);
  if (!response.ok) throw new Error(`they answered ${response.status}`);
}

const consumer = createConsumer(broker, webhooks, (webhook, { signal }) => deliver(webhook, signal), {
  concurrency: 4,
  rate: RATE,
  breaker: { failures: 3, ofLast: 5, pauseMs: 500 },
  retry: { attempts: 20, backoff: () => 100 },
  observe(event) {
    if (event.type === 'postponed')
      console.log(`they ask for a break of ${event.delayMs} ms: ${event.error}`);
    if (event.type === 'paused') console.log(`they are down: a pause of ${event.forMs} ms`);
    if (event.type === 'resumed') console.log('another try');
  },
});
const begin = performance.now();
await consumer.start();
await createProducer(broker, webhooks).sendMany(
  Array.from({ length: WEBHOOKS }, (_, number) => ({ path: `/orders/${number}` })),
);
while (consumer.counts.handled < WEBHOOKS) await sleep(10);
await consumer.stop();
await broker.close();
partner.close();

const seconds = (performance.now() - begin) / 1000;
console.log(
  `${partner.delivered.size} webhooks delivered, ${consumer.counts.deadLettered} given up, in ${seconds.toFixed(1)} s`,
);
