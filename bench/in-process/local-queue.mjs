import { LocalQueue } from '../millrace.mjs';
import { Arrivals, shares } from './check.mjs';

export async function putTake({ count, order }) {
  const arrivals = new Arrivals();
  const queue = new LocalQueue({ capacity: 1024, order });
  await Promise.all([
    (async () => {
      for (let i = 0; i < count; i++) await queue.put(i);
    })(),
    (async () => {
      for (let i = 0; i < count; i++) arrivals.add(await queue.take());
    })(),
  ]);
  arrivals.check(count);
}

export async function iteration({ count }) {
  const arrivals = new Arrivals();
  const queue = new LocalQueue({ capacity: 1024 });
  await Promise.all([
    (async () => {
      for (let i = 0; i < count; i++) await queue.put(i);
      queue.close();
    })(),
    (async () => {
      for await (const item of queue) arrivals.add(item);
    })(),
  ]);
  arrivals.check(count);
}

/** Waits only while the queue is full, and takes all available items. */
export async function takeMany({ count }) {
  const arrivals = new Arrivals();
  const queue = new LocalQueue({ capacity: 1024 });
  await Promise.all([
    (async () => {
      for (let i = 0; i < count; i++) if (!queue.tryPut(i)) await queue.put(i);
    })(),
    (async () => {
      while (arrivals.count < count) for (const item of await queue.takeMany(1024)) arrivals.add(item);
    })(),
  ]);
  arrivals.check(count);
}

/** Without any waiting: fills the queue, empties it, and again. */
export async function tryPutTryTake({ count }) {
  const arrivals = new Arrivals();
  const queue = new LocalQueue({ capacity: 1024 });
  let next = 0;
  while (arrivals.count < count) {
    while (next < count && queue.tryPut(next)) next++;
    while (queue.size > 0) arrivals.add(queue.tryTake());
  }
  arrivals.check(count);
}

export async function fan({ count, tasks }) {
  const arrivals = new Arrivals();
  const queue = new LocalQueue({ capacity: 1024 });
  await Promise.all(
    shares(count, tasks).flatMap(([from, to]) => [
      (async () => {
        for (let i = from; i < to; i++) await queue.put(i);
      })(),
      (async () => {
        for (let i = from; i < to; i++) arrivals.add(await queue.take());
      })(),
    ]),
  );
  arrivals.check(count);
}

/** Fills the queue with `depth` items and empties it, until `count` have gone through. */
export async function backlog({ count, depth, order }) {
  const queue = new LocalQueue({ capacity: depth, order });
  for (let filled = 0; filled < count; filled += depth) {
    const arrivals = new Arrivals();
    for (let i = 0; i < depth; i++) queue.tryPut(i);
    while (queue.size > 0) arrivals.add(queue.tryTake());
    arrivals.check(depth);
  }
}

/** The items as they are put have priorities in no order: 0 … depth-1 by steps of a prime. */
export async function priorityBacklog({ count, depth }) {
  await backlog({ count, depth, order: { priority: (item) => (item * 7919) % depth } });
}
