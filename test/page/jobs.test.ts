import { expect, test } from 'vitest';
import { parseAction } from '../../src/page/actions/actions.js';
import { type Job, type JobPlan, Jobs } from '../../src/page/actions/jobs.js';

const plan = (expected: number, run: JobPlan['run'], turn = 'dead orders.dead'): JobPlan => ({
  action: 'replay',
  queue: 'orders',
  turn,
  expected,
  run,
});

/** Of a job that replays these many. */
const replaying = (expected: number, found: number) =>
  plan(expected, async ({ outcome }) => {
    for (let n = 0; n < found; n++) outcome({ id: `m-${n}`, outcome: 'replayed', detail: '' });
    return `replayed ${found}`;
  });

function run(jobs: Jobs, what: JobPlan): Promise<Job> {
  return new Promise((resolve) => jobs.start(what, resolve));
}

test('a job is done only if it found all that its dialog named', async () => {
  const jobs = new Jobs(() => {});
  expect((await run(jobs, replaying(3, 3))).view).toMatchObject({ done: 3, ok: true });
  expect((await run(jobs, replaying(3, 1))).view).toMatchObject({ done: 1, ok: false });
  expect((await run(jobs, replaying(3, 0))).view).toMatchObject({ done: 0, ok: false });
});

test('the outcomes of all jobs together are bounded, and what is left out is counted', async () => {
  const jobs = new Jobs(() => {});
  const large = await run(jobs, replaying(60_000, 60_000));
  expect([large.outcomes.length, large.forgotten]).toEqual([50_000, 10_000]);
  const second = await run(jobs, replaying(50_000, 50_000));
  expect(second.forgotten).toBe(0);
  const third = await run(jobs, replaying(50_000, 50_000));
  expect([large, second, third].map(({ id }) => jobs.find(id) !== undefined)).toEqual([false, true, true]);
});

test('the text of an error in an outcome is bounded', async () => {
  const jobs = new Jobs(() => {});
  const job = await run(
    jobs,
    plan(1, async ({ outcome }) => {
      outcome({ id: 'm-1', outcome: 'stays', detail: 'x'.repeat(100_000) });
      return '';
    }),
  );
  expect(job.outcomes[0]?.detail.length).toBeLessThan(1000);
});

test.each([
  ['no object', null],
  ['an inherited name', { action: 'constructor', queue: 'orders' }],
  ['a queue whose name no queue can have', { action: 'purge', queue: 'é'.repeat(128) }],
  ['a target whose name no queue can have', { action: 'move', queue: 'orders', to: 'x'.repeat(256) }],
  ['a rate without end', { action: 'replay', queue: 'orders', rate: Number.POSITIVE_INFINITY }],
  ['a fraction of a message', { action: 'replay', queue: 'orders', expected: 1.5 }],
  ['too many ids', { action: 'replay', queue: 'orders', ids: Array.from({ length: 1001 }, String) }],
])('a request with %s is refused', (_, body) => {
  expect(() => parseAction(body)).toThrow('the request has no valid');
});
