import { expect, test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('queues shows the three orders, and how a full, an empty and a closed queue respond', async () => {
  const lines = await linesOf('queues');
  expect(lines).toEqual([
    'first in, first out: report, backup, alarm, mail',
    'last in, first out: mail, alarm, backup, report',
    'by priority: alarm, report, mail, backup',
    'tryTake of an empty queue: undefined',
    'take from an empty queue: TIMEOUT',
    'tryPut into a queue for 2: true, true, false',
    'put into a full queue: TIMEOUT',
    'put with a signal that is aborted: ABORTED',
    'take: a',
    '2 in the queue',
    'put into a closed queue: CLOSED',
  ]);
  await expectAsInReadme('queues', lines);
});
