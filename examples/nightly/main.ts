/** A report for every "night" of half a second, by two schedulers of which one stops, and one that makes up for a pause. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createScheduler, defineQueue, defineSchedule } from 'millrace';
import { z } from 'zod';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'nightly' },
  },
});
const broker = await connect(values.url);
const reports = defineQueue(`${values.prefix}-reports`, z.object({ night: z.string() }));

/** In a program of yours: `cron: '0 3 * * *', tz: 'Europe/Berlin'`. */
const nightly = defineSchedule(values.prefix, {
  everyMs: 500,
  catchUp: 'all',
  send: [reports, ({ at }) => ({ night: at.toISOString() })],
});

const nights: number[] = [];
const ids = new Set<string>();
const consumer = createConsumer(broker, reports, ({ night }, { id }) => {
  nights.push(Date.parse(night));
  ids.add(id);
});
await consumer.start();
const reportsUntil = async (count: number) => {
  while (nights.length < count) await sleep(10);
};

// In two programs of yours; each tick is sent by one of them.
const first = createScheduler(broker, [nightly]);
const second = createScheduler(broker, [nightly]);
await Promise.all([first.start(), second.start()]);
await reportsUntil(3);
console.log('two schedulers run: 3 reports');

await first.stop();
await reportsUntil(5);
console.log('one has stopped: 2 more');

await second.stop();
await sleep(1600);
await using third = createScheduler(broker, [nightly]);
await third.start();
await reportsUntil(8);
console.log('none ran for three nights: their reports are made up for');

await third.stop();
await consumer.stop();
nights.sort((one, other) => one - other);
const gaps = nights.slice(1).map((night, index) => night - (nights[index] as number));
console.log(`nights without a report: ${gaps.filter((gap) => gap > 500).length}`);
console.log(`nights with two: ${nights.length - ids.size}`);
await broker.close();
