import { connect } from 'millrace';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Pool, startWorkers, tasksIn } from '../../../examples/pool/pool.ts';
import { diskAddress } from '../support/disk.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';
import { expectPool, WORKER } from './pool-lines.js';

test('pool: results in order, errors carried back, a free event loop, a crashed worker replaced', async () => {
  const lines = await linesOf('pool');
  expectPool(lines, { killed: false });
  await expectAsInReadme('pool', lines, { varies: [WORKER] });
});

test('pool: workers in processes of their own, one of which is killed, on a folder', async () => {
  const lines = await linesOf('pool', '-u', await diskAddress());
  expectPool(lines, { killed: true });
  await expectAsInReadme('pool', lines, { varies: [WORKER], args: ['-u', 'local:./pool-data'] });
});

test('pool: work that takes longer than any request may wait is done to the last task', async () => {
  const broker = await connect('local:');
  const tasks = tasksIn('seconds', z.number());
  // Four at a time, a second each: the last ones wait for longer than the 30 s that a request has unless told otherwise.
  const work = (n: number) => new Promise((resolve) => setTimeout(resolve, 1000, n));
  const workers = await startWorkers(broker, tasks, work, { workers: 4 });
  const pool = new Pool(broker, tasks, z.number());
  const numbers = Array.from({ length: 128 }, (_, n) => n);
  expect(await pool.map(numbers)).toEqual(numbers);
  pool.close();
  await pool.join();
  await workers.stop();
  await broker.close();
});

test('pool: the time limit of a task counts from its start', async () => {
  const broker = await connect('local:');
  const tasks = tasksIn('limited', z.number());
  const work = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms, ms));
  const workers = await startWorkers(broker, tasks, work, { workers: 1, taskTimeoutMs: 2000 });
  const pool = new Pool(broker, tasks, z.number());
  const endless = pool.apply(1_000_000_000);
  const waiting = [pool.apply(10), pool.apply(20), pool.apply(30)];
  await expect(endless).rejects.toMatchObject({ code: 'REMOTE_ERROR', remote: { code: 'TIMEOUT' } });
  expect(await Promise.all(waiting)).toEqual([10, 20, 30]);
  pool.close();
  await pool.join();
  await workers.stop();
  await broker.close();
});

test('pool: imap takes tasks as it needs them, and may be left before its end', async () => {
  const broker = await connect('local:');
  const tasks = tasksIn('lazy', z.number());
  const workers = await startWorkers(broker, tasks, (n) =>
    n === 3 ? Promise.reject(new Error('three')) : n,
  );
  const pool = new Pool(broker, tasks, z.number(), { ahead: 4 });
  let taken = 0;
  function* numbers() {
    for (;;) yield taken++;
  }
  const seen: number[] = [];
  for await (const n of pool.imap(numbers())) {
    seen.push(n);
    if (n === 1) break;
  }
  expect(seen).toEqual([0, 1]);
  expect(taken).toBeLessThanOrEqual(6);
  taken = 3;
  await expect(pool.imap(numbers()).next()).rejects.toMatchObject({ remote: { message: 'three' } });
  pool.close();
  await pool.join();
  await workers.stop();
  await broker.close();
});
