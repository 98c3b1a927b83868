/** Watches the events of a topic beside the subscription that handles them, and takes nothing from it. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createPublisher, defineSubscription, defineTopic } from 'millrace';
import { z } from 'zod';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'mill' },
  },
});
const mill = defineTopic(values.prefix, {
  'sack.delivered': z.object({ grain: z.string(), kilos: z.number() }),
  'sack.ground': z.object({ grain: z.string(), kilos: z.number() }),
});
const grinding = defineSubscription(mill, 'grinding', { to: ['sack.delivered'] });
// A copy for this process alone: its queue is gone with the connection, and no other process notices it.
const watched = defineSubscription(mill, { each: 'process', to: ['#'] });

const broker = await connect(values.url);
const publisher = createPublisher(broker, mill);
const miller = createConsumer(broker, grinding, ({ grain, kilos }) =>
  publisher.publish('sack.ground', { grain, kilos: kilos * 0.75 }),
);

const tail = createConsumer(broker, watched, (sack, { routingKey }) =>
  console.log(`${routingKey} ${JSON.stringify(sack)}`),
);
await Promise.all([miller.start(), tail.start()]);

await publisher.publish('sack.delivered', { grain: 'rye', kilos: 80 });
await publisher.publish('sack.delivered', { grain: 'oats', kilos: 60 });
while (tail.counts.handled < 4) await delay(20);
await Promise.all([miller.stop(), tail.stop()]);
const { handled } = miller.counts;
console.log(`the miller has handled ${handled} sacks, although each of them was watched`);
await broker.close();
