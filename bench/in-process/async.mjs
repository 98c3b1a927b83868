import { queue as asyncQueue, priorityQueue } from 'async';
import { orderOf } from '../order.mjs';
import { Arrivals } from './check.mjs';

export async function pushEach({ count }) {
  const arrivals = new Arrivals();
  const queue = asyncQueue(async (value) => {
    arrivals.add(value.id);
  }, 1);
  for (let i = 0; i < count; i++) await queue.pushAsync(orderOf(i));
  arrivals.check(count);
}

/** Up to 1000 pushes in flight. */
export async function pushMany({ count }) {
  const arrivals = new Arrivals();
  const queue = asyncQueue(async (value) => {
    arrivals.add(value.id);
  }, 1);
  for (let next = 0; next < count; ) {
    const drained = queue.drain();
    for (const end = Math.min(count, next + 1000); next < end; next++) queue.push(orderOf(next));
    await drained;
  }
  arrivals.check(count);
}

export async function backlog({ count, depth, prioritized = false }) {
  for (let filled = 0; filled < count; filled += depth) {
    const arrivals = new Arrivals();
    const worker = (value, done) => {
      arrivals.add(value.id);
      done();
    };
    const queue = prioritized ? priorityQueue(worker, 1) : asyncQueue(worker, 1);
    queue.pause();
    for (let i = 0; i < depth; i++) {
      if (prioritized) queue.push({ id: i }, (i * 7919) % depth);
      else queue.push({ id: i });
    }
    const drained = queue.drain();
    queue.resume();
    await drained;
    arrivals.check(depth);
  }
}

export async function priorityBacklog(options) {
  await backlog({ ...options, prioritized: true });
}
