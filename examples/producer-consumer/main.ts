/** Fast producers and slow consumers with a small queue between them, which slows down the producers. */
import { setTimeout as delay } from 'node:timers/promises';
import { LocalQueue } from 'millrace';

const PRODUCERS = 3;
const CONSUMERS = 2;
const ITEMS_EACH = 20;

const queue = new LocalQueue<{ producer: number; item: number }>({ capacity: 10 });
let produced = 0;
let deepest = 0;
const handled = new Set<string>();

async function produce(producer: number): Promise<void> {
  for (let item = 1; item <= ITEMS_EACH; item++) {
    await delay(1);
    await queue.put({ producer, item }); // waits while the queue is full: that is the back-pressure
    produced++;
    deepest = Math.max(deepest, queue.size);
  }
  console.log(`producer ${producer} has put its last item; ${queue.size} wait in the queue`);
}

async function consume(consumer: number): Promise<void> {
  let count = 0;
  for await (const { producer, item } of queue) {
    try {
      await delay(10);
      handled.add(`${producer}/${item}`);
      count++;
    } finally {
      queue.done(); // needed for `join`, even if the work failed
    }
  }
  console.log(`consumer ${consumer} handled ${count} items`);
}

const consumers = Array.from({ length: CONSUMERS }, (_, index) => consume(index + 1));
const producers = Array.from({ length: PRODUCERS }, (_, index) => produce(index + 1));

await Promise.all(producers); // all items have been put
await queue.join(); // all items have been handled
queue.close(); // no more items: the loops of the consumers end
await Promise.all(consumers);
console.log(
  `produced ${produced}, handled ${handled.size}, at most ${deepest} of ${queue.capacity} in the queue`,
);
