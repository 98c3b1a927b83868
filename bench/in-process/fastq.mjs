import fastq from 'fastq';
import { orderOf } from '../order.mjs';
import { Arrivals, gate, shares } from './check.mjs';

/** The callback form. The worker is done at once, so that each push runs it and nothing ever waits. */
export async function callback({ count }) {
  const arrivals = new Arrivals();
  const queue = fastq((item, done) => {
    arrivals.add(item);
    done(null);
  }, 1);
  for (let i = 0; i < count; i++) queue.push(i);
  arrivals.check(count);
}

/** The callback form with items that wait: 1024 at a time, which is the bound that fastq lacks. */
export async function callbackFilled({ count }) {
  const arrivals = new Arrivals();
  const queue = fastq((item, done) => {
    arrivals.add(item);
    done(null);
  }, 1);
  for (let next = 0; next < count; ) {
    queue.pause();
    for (const end = Math.min(count, next + 1024); next < end; next++) queue.push(next);
    queue.resume();
  }
  arrivals.check(count);
}

function jobs(arrivals, concurrency) {
  return fastq.promise(async (value) => {
    arrivals.add(value.id);
  }, concurrency);
}

export async function pushEach({ count }) {
  const arrivals = new Arrivals();
  const queue = jobs(arrivals, 1);
  for (let i = 0; i < count; i++) await queue.push(orderOf(i));
  arrivals.check(count);
}

/** Up to 1000 pushes in flight. */
export async function pushMany({ count }) {
  const arrivals = new Arrivals();
  const queue = jobs(arrivals, 1);
  for (let next = 0; next < count; ) {
    const pushes = [];
    for (const end = Math.min(count, next + 1000); next < end; next++) pushes.push(queue.push(orderOf(next)));
    await Promise.all(pushes);
  }
  arrivals.check(count);
}

export async function fan({ count, tasks }) {
  const arrivals = new Arrivals();
  const queue = jobs(arrivals, tasks);
  await Promise.all(
    shares(count, tasks).map(async ([from, to]) => {
      for (let i = from; i < to; i++) await queue.push(orderOf(i));
    }),
  );
  arrivals.check(count);
}

export async function backlog({ count, depth }) {
  for (let filled = 0; filled < count; filled += depth) {
    const arrivals = new Arrivals();
    const { open, opened } = gate();
    const queue = jobs(arrivals, 1);
    queue.drain = open;
    queue.pause();
    for (let i = 0; i < depth; i++) queue.push(orderOf(i));
    queue.resume();
    await opened;
    arrivals.check(depth);
  }
}
