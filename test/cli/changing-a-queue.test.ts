import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { removeQueues } from '../support/remove-queues.js';
import { runMany } from './support/run-many.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-changing-'));
const prefix = uniqueName('cli-changing');
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await removeQueues(prefix);
});

const MILLRACE = fileURLToPath(new URL('../../dist/index.js', import.meta.url));

/** A module that defines a queue with these options, as source. */
function definition(file: string, queue: string, options: string): string {
  const path = join(folder, `${file}.mjs`);
  writeFileSync(
    path,
    `import { defineQueue } from ${JSON.stringify(MILLRACE)};
     const any = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
     export const queue = defineQueue(${JSON.stringify(queue)}, any, ${options});`,
  );
  return path;
}

describe.each([
  ['RabbitMQ', amqpUrl, "{ arguments: { 'x-max-length-bytes': 50_000_000 } }"],
  ['a folder', () => `local:${join(folder, 'queues')}`, "{ type: 'classic' }"],
])('the roads of docs/changing-a-queue.md on %s', (place, url, options) => {
  const name = (what: string) => `${prefix}-${place.slice(0, 1)}-${what}`;
  const env = () => ({ MILLRACE_URL: url() });
  const sends = (queue: string) => ['a', 'b', 'c'].map((id) => ['send', id, '--id', id, '-q', queue]);
  const idsIn = (peeked: string) => [...peeked.matchAll(/"id":"(\w)"/g)].map(([, id]) => id);

  test('under a new name: the messages move, in their order and with their ids', async () => {
    const [before, after] = [name('orders'), name('orders-v2')];
    const ended = await runMany(
      [
        ['topology', 'apply', definition('first', before, '{}')],
        ...sends(before),
        ['topology', 'apply', definition('second', after, options)],
        ['move', before, after],
        ['remove', before, '--force'],
        ['peek', after, '--json'],
      ],
      env(),
    );
    expect(ended.map(({ exitCode }) => exitCode)).toEqual(ended.map(() => 0));
    expect(idsIn(ended.at(-1)?.text ?? '')).toEqual(['a', 'b', 'c']);
  });

  test('under the same name: check refuses, and the messages wait elsewhere', async () => {
    const [queue, parked] = [name('jobs'), name('jobs.parked')];
    const changed = definition('new', queue, options);
    const ended = await runMany(
      [
        ['topology', 'apply', definition('old', queue, '{}')],
        ...sends(queue),
        ['topology', 'check', changed],
        ['topology', 'apply', definition('parked', parked, '{ deadLetter: false }')],
        ['move', queue, parked],
        ['remove', queue, '--force'],
        ['topology', 'apply', changed],
        ['move', parked, queue],
        ['remove', parked, '--force'],
        ['topology', 'check', changed],
        ['peek', queue, '--json'],
      ],
      env(),
    );
    expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(idsIn(ended.at(-1)?.text ?? '')).toEqual(['a', 'b', 'c']);
  });
});

test('on a folder a capacity, a delivery limit and dead letters change with the next declaration', async () => {
  const env = { MILLRACE_URL: `local:${join(folder, 'changeable')}` };
  const large = "{ capacity: 20, deliveryLimit: 5, deadLetter: 'jobs.failed', onExpired: 'drop' }";
  const [, , shown] = await runMany(
    [
      ['topology', 'apply', definition('small', 'jobs', '{ capacity: 10 }')],
      ['topology', 'apply', definition('large', 'jobs', large)],
      ['show', 'jobs'],
    ],
    env,
  );
  expect(shown).toMatchObject({ exitCode: 0, text: expect.stringMatching(/^capacity: +20$/m) });
  expect(shown?.text).toMatch(/^dead letters: +jobs\.failed$/m);
});
