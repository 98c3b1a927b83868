import { newQueue } from '@henrygd/queue';
import { orderOf } from '../order.mjs';
import { Arrivals, shares } from './check.mjs';

function job(arrivals, value) {
  return async () => {
    arrivals.add(value.id);
  };
}

export async function addEach({ count }) {
  const arrivals = new Arrivals();
  const queue = newQueue(1);
  for (let i = 0; i < count; i++) await queue.add(job(arrivals, orderOf(i)));
  arrivals.check(count);
}

/** Up to 1000 jobs in flight. */
export async function addMany({ count }) {
  const arrivals = new Arrivals();
  const queue = newQueue(1);
  for (let next = 0; next < count; ) {
    for (const end = Math.min(count, next + 1000); next < end; next++)
      queue.add(job(arrivals, orderOf(next)));
    await queue.done();
  }
  arrivals.check(count);
}

export async function fan({ count, tasks }) {
  const arrivals = new Arrivals();
  const queue = newQueue(tasks);
  await Promise.all(
    shares(count, tasks).map(async ([from, to]) => {
      for (let i = from; i < to; i++) await queue.add(job(arrivals, orderOf(i)));
    }),
  );
  arrivals.check(count);
}
