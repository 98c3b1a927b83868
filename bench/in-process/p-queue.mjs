import PQueue from 'p-queue';
import { orderOf } from '../order.mjs';
import { Arrivals, shares } from './check.mjs';

/** A job that handles one value. p-queue takes functions, so the value comes with it. */
function job(arrivals, value) {
  return async () => {
    arrivals.add(value.id);
  };
}

export async function addEach({ count }) {
  const arrivals = new Arrivals();
  const queue = new PQueue({ concurrency: 1 });
  for (let i = 0; i < count; i++) await queue.add(job(arrivals, orderOf(i)));
  arrivals.check(count);
}

/** Bounded at 1024 in p-queue's own way. */
export async function addBounded({ count }) {
  const arrivals = new Arrivals();
  const queue = new PQueue({ concurrency: 1 });
  for (let i = 0; i < count; i++) {
    if (queue.size >= 1024) await queue.onSizeLessThan(1024);
    queue.add(job(arrivals, orderOf(i)));
  }
  await queue.onIdle();
  arrivals.check(count);
}

export async function fan({ count, tasks }) {
  const arrivals = new Arrivals();
  const queue = new PQueue({ concurrency: tasks });
  await Promise.all(
    shares(count, tasks).map(async ([from, to]) => {
      for (let i = from; i < to; i++) await queue.add(job(arrivals, orderOf(i)));
    }),
  );
  arrivals.check(count);
}

export async function backlog({ count, depth, prioritized = false }) {
  for (let filled = 0; filled < count; filled += depth) {
    const arrivals = new Arrivals();
    const queue = new PQueue({ concurrency: 1, autoStart: false });
    for (let i = 0; i < depth; i++) {
      queue.add(job(arrivals, { id: i }), prioritized ? { priority: (i * 7919) % depth } : undefined);
    }
    queue.start();
    await queue.onIdle();
    arrivals.check(depth);
  }
}

export async function priorityBacklog(options) {
  await backlog({ ...options, prioritized: true });
}
