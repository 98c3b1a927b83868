// A process that does with a folder what it is told, a JSON line a command, and says what happens, a JSON line an event.
import { createInterface } from 'node:readline';
import { openDiskBroker } from '../../../../dist/local-queue/disk/broker.js';

const [folder, options = '{}'] = process.argv.slice(2);
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const deliveries = new Map();
const subscriptions = new Map();
let broker;

const commands = {
  open: async () => {
    broker = await openDiskBroker(folder, JSON.parse(options));
  },
  declare: ({ spec, options }) => broker.declare(spec, options),
  publish: ({ queue, ids, options }) =>
    Promise.all(
      ids.map((id) =>
        broker.publish(
          { exchange: '', routingKey: queue },
          { id, contentType: 'text/plain', headers: {}, body: `body of ${id}` },
          options,
        ),
      ),
    ).then(() => undefined),
  subscribe: async ({ queue, prefetch, unref, timeoutMs }) => {
    const subscription = await broker.subscribe(
      queue,
      { prefetch, timeoutMs, onLost: ({ message }) => say({ event: 'lost', id: message.id }) },
      (delivery) => {
        const { message, attempt, redelivered } = delivery;
        deliveries.set(message.id, delivery);
        say({ event: 'delivery', id: message.id, attempt, redelivered });
      },
    );
    subscriptions.set(queue, subscription);
    if (unref) subscription.unref();
    subscription.ended.catch(({ code, message }) => say({ event: 'ended', code, message }));
  },
  ack: ({ id }) => deliveries.get(id).ack(),
  retry: ({ id, delayMs }) => deliveries.get(id).retry(delayMs, { code: 'failed', error: 'again' }),
  unsubscribe: ({ queue }) => subscriptions.get(queue).close(),
  inspect: ({ queue }) => broker.inspect(queue),
  close: () => broker.close(),
  exit: () => process.exit(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...parameters } = JSON.parse(line);
  try {
    say({ event: 'done', command, value: await commands[command](parameters) });
  } catch (error) {
    say({ event: 'failed', command, code: error.code, message: error.message });
  }
}
