/**
 * A program with a consumer that may be a helper. Exits with 7 when a handler is called that can only be called where
 * something keeps the process alive, and with 0 by itself otherwise.
 *
 * With `busy` the helper never runs out of messages, and each handler waits for a timer.
 *
 *   node helper.mjs ADDRESS QUEUE helper|main|main-again|sending|busy
 */
import { connect, createConsumer, createProducer, defineQueue } from 'millrace';
import { z } from 'zod';

const [address, name, role] = process.argv.slice(2);
const queue = defineQueue(name, z.string());
const broker = await connect(address);
const producer = createProducer(broker, queue);
let onHandled = () => {};

const consumer = createConsumer(broker, queue, async (text) => {
  if (role === 'busy') {
    onHandled();
    await new Promise((resolve) => setTimeout(resolve, 5));
    await producer.send('again'); // there is always one more
    return;
  }
  console.log(`handled ${text}`);
  if (text === 'late') process.exit(7);
  onHandled();
});
if (role !== 'main') consumer.unref();
await consumer.start();
if (role === 'main-again') consumer.ref();

const handled = new Promise((resolve) => {
  onHandled = resolve;
});
// Without this somebody who waits for a helper has nothing that keeps him alive.
const waiting = setInterval(() => {}, 1000);
for (let message = 0; role === 'busy' && message < 20; message++) await producer.send('again');
await producer.send('early');
await handled;
clearInterval(waiting);

// A timer that does not keep the process alive itself: where nothing else does, it never comes to this.
setTimeout(() => producer.send('late'), role === 'helper' || role === 'sending' ? 5000 : 200).unref();
if (role === 'sending') producer.send('last').then(() => console.log('stored'));
console.log('end of main');
