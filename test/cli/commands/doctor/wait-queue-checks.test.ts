import { expect, test } from 'vitest';
import type { Backend, Operator, WaitQueue } from '../../../../src/broker.js';
import type { Check } from '../../../../src/cli/doctor/check.js';
import { waitQueueChecks } from '../../../../src/cli/doctor/wait-queue-checks.js';
import { exitCodeOf } from '../../../../src/cli/exit-code.js';
import { QueueError } from '../../../../src/errors.js';

const unused = (name: string): WaitQueue => ({ name, queue: 'q', messages: 0, state: 'unused' });

/** The last finding of a fix, where each look gives the next list. */
async function fixed(lists: WaitQueue[][], remove: (name: string) => boolean) {
  const operator: Pick<Operator, 'waitQueues' | 'removeWaitQueue'> = {
    waitQueues: async () => lists.shift() ?? [],
    removeWaitQueue: async ({ name }) => remove(name),
  };
  const inspect = async () => ({ ready: 0 });
  const broker = { operator, inspect } as unknown as Backend;
  let last: Check | undefined;
  for await (const check of waitQueueChecks(broker, { isAsked: true, fix: true, lookAgainMs: 1 }))
    last = check;
  return last;
}

test('only wait queues that two lists have as unused are removed', async () => {
  const first = [unused('a'), unused('b'), unused('c')];
  const second: WaitQueue[] = [unused('a'), { ...unused('b'), state: 'used' }, unused('d')];
  const asked: string[] = [];
  const check = await fixed([first, second], (name) => asked.push(name) > 0);
  expect(asked).toEqual(['a']);
  expect(check).toMatchObject({ status: 'ok', facts: { removed: ['a'], used: 2 } });
});

test('one that cannot be removed keeps no other from being removed, and both are reported', async () => {
  const list = [unused('a'), unused('b'), unused('c')];
  const check = await fixed([list, list], (name) => {
    if (name === 'b') throw new QueueError('ACCESS_REFUSED', 'no permission');
    return true;
  });
  expect(check).toMatchObject({
    status: 'fail',
    exitCode: exitCodeOf(new QueueError('ACCESS_REFUSED', '')),
    text: "removed 'a', 'c'; not removed: 'b': no permission",
    facts: { removed: ['a', 'c'] },
  });
});
