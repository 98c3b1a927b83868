import { expect, test } from 'vitest';
import { ConcurrencyLimit } from '../../../src/common/waiting/concurrency-limit.js';
import { Deferred } from '../../../src/common/waiting/waiting.js';

test('a job starts as soon as one of the running ones has ended, and no more run than the limit', async () => {
  const limit = new ConcurrencyLimit(2);
  const jobs = [new Deferred(), new Deferred(), new Deferred()] as const;
  let started = 0;
  const begin = (job: Deferred) =>
    limit.begin(() => {
      started++;
      return job.promise;
    });
  await begin(jobs[0]);
  await begin(jobs[1]);
  const third = begin(jobs[2]);
  await new Promise(setImmediate);
  expect(started).toBe(2);

  jobs[1].resolve();
  await third;
  expect(started).toBe(3);

  let hasEnded = false;
  const ended = limit.ended().then(() => {
    hasEnded = true;
  });
  jobs[0].resolve();
  await new Promise(setImmediate);
  expect(hasEnded).toBe(false);
  jobs[2].resolve();
  await ended;
  await limit.succeeded();
});

test('after a job has failed no other starts, and the first error is the result', async () => {
  const limit = new ConcurrencyLimit(2);
  const [failing, other] = [new Deferred(), new Deferred()];
  await limit.begin(() => failing.promise);
  await limit.begin(() => other.promise);
  failing.reject(new Error('first'));
  let isStarted = false;
  const third = limit.begin(async () => {
    isStarted = true;
  });
  await expect(third).rejects.toThrow('first');
  expect(isStarted).toBe(false);
  other.reject(new Error('second'));
  await limit.ended();
  await expect(limit.succeeded()).rejects.toThrow('first');
});
