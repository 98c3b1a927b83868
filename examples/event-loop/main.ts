/** An event loop: events of several types in one queue, and a handler for each type. */
import { parseArgs } from 'node:util';
import { connect, createConsumer, createProducer, deadLetterHistory, defineQueue, receive } from 'millrace';
import { backendOf } from 'millrace/backend';
import { z } from 'zod';

const Event = z.discriminatedUnion('type', [
  z.object({ type: z.literal('click'), x: z.number(), y: z.number() }),
  z.object({ type: z.literal('key'), key: z.string() }),
  z.object({ type: z.literal('timer'), name: z.string(), afterMs: z.number() }),
]);

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'event-loop' },
  },
});
const events = defineQueue(`${values.prefix}.events`, Event);
const broker = await connect(values.url);

// Handlers run one at a time, in the order of the events. A missing or misspelt handler does not compile; each one
// receives the events of its own type.
const loop = createConsumer(
  broker,
  events,
  {
    by: 'type',
    handlers: {
      click: ({ x, y }) => console.log(`click at ${x}, ${y}`),
      key: ({ key }) => console.log(`key ${key}`),
      timer: ({ name, afterMs }) => console.log(`timer ${name} after ${afterMs} ms`),
    },
  },
  {
    observe: (event) => {
      if (event.type === 'dead-lettered') console.log(`dead letter ${event.id}: ${event.failure.code}`);
    },
  },
);
await loop.start();

const screen = createProducer(broker, events);
await screen.send({ type: 'click', x: 3, y: 4 });
await screen.send({ type: 'key', key: 'Enter' });

// Other programs are not checked by this compiler. An event of an unknown type becomes a dead letter.
const body = JSON.stringify({ type: 'scroll', by: -3 });
const headers = { source: 'somebody else' };
await backendOf(broker).publish(
  { exchange: '', routingKey: events.name },
  { id: 'scroll-1', contentType: 'application/json', headers, body },
);

await new Promise<void>((resolve, reject) => {
  const afterMs = 20;
  setTimeout(
    () => screen.send({ type: 'timer', name: 'tick', afterMs }).then(() => resolve(), reject),
    afterMs,
  );
});

const unknown = defineQueue(`${events.name}.dead`, z.object({ type: z.string() }), { declare: 'existing' });
for await (const dead of receive(broker, unknown)) {
  console.log(`no handler for ${dead.value.type}: ${deadLetterHistory(dead.headers)?.reason}`);
  dead.ack();
  break;
}

await loop.stop();
await broker.close();
