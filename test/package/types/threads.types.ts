import { z } from 'zod';
import { type Broker, createConsumer, defineQueue, type ThreadedHandler } from '../../../src/index.js';

declare const broker: Broker;

const images = defineQueue('images', z.object({ path: z.string() }));
const module = new URL('./resize.js', import.meta.url);
const handler: ThreadedHandler = { module, threads: 2, terminateAfterMs: 100 };

createConsumer(broker, images, handler, { key: ({ path }) => path, retry: { delaysMs: [] } });
createConsumer(broker, images, { module });
// @ts-expect-error: relative to what?
createConsumer(broker, images, { module: './resize.js' });
// @ts-expect-error: a misspelt option
createConsumer(broker, images, { module, thread: 2 });
// @ts-expect-error: threads of what?
createConsumer(broker, images, { threads: 2 });

const consumer = createConsumer(broker, images, { module });
consumer.unref();
consumer.ref();
