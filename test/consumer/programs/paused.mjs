// A consumer is paused, and nothing else keeps the process alive: it would exit before the time has passed.
import { connect, createConsumer, defineQueue } from 'millrace';
import { z } from 'zod';

const broker = await connect('local:');
const consumer = createConsumer(broker, defineQueue('orders', z.string()), () => {});
await consumer.start();
await consumer.pause();
setTimeout(async () => {
  console.log('still there');
  await consumer.stop();
  await broker.close();
}, 1500).unref();
