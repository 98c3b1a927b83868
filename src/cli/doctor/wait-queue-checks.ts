/** Checks the queues that the toolkit creates on RabbitMQ for retries and delays. */
import type { Backend, Operator, WaitQueue } from '../../broker.js';
import { errorText } from '../../common/options.js';
import { pause } from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';
import { exitCodeOf } from '../exit-code.js';
import { type Check, fail, failure, ok, warn } from './check.js';

const LOST = 'millrace.delay.lost';

/** The management API's figures may be 5 seconds old. */
const LOOK_AGAIN_MS = 6000;

/** `isAsked`: whether the management API may be queried. `fix`: removes unused ones. */
export async function* waitQueueChecks(
  broker: Backend,
  {
    isAsked,
    fix,
    lookAgainMs = LOOK_AGAIN_MS,
  }: { readonly isAsked: boolean; readonly fix: boolean; readonly lookAgainMs?: number },
): AsyncGenerator<Check> {
  yield* lostCheck(broker);
  const { operator } = broker;
  if (operator?.waitQueues === undefined) {
    if (fix) yield ok('wait queues', 'there are none on this broker, and nothing to remove');
    return;
  }
  if (!isAsked) {
    yield ok(
      'wait queues',
      'unknown whether any is unused: only the management API lists them (--management-url)',
    );
    return;
  }
  try {
    const all = await operator.waitQueues();
    for (const { name, queue, messages } of all.filter(({ state }) => state === 'orphaned')) {
      yield warn(
        'wait queues',
        `'${name}' holds ${messages} retried messages for '${queue}', which does not exist`,
        `declare '${queue}' again, and they reach it within minutes`,
        { queue: name, messages },
      );
    }
    const unused = all.filter(({ state }) => state === 'unused');
    const names = unused.map(({ name }) => `'${name}'`).join(', ');
    if (unused.length > 0 && !fix) {
      yield warn(
        'wait queues',
        `unused: ${names}: empty, and no consumer's retry policy needs them`,
        'millrace doctor --fix removes them; a consumer that needs one declares it again',
        { unused: unused.map(({ name }) => name) },
      );
      return;
    }
    const removed: string[] = [];
    const failed: { readonly name: string; readonly error: unknown }[] = [];
    for (const queue of await stillUnused(operator, unused, lookAgainMs)) {
      try {
        if (await operator.removeWaitQueue?.(queue)) removed.push(queue.name);
      } catch (error) {
        failed.push({ name: queue.name, error });
      }
    }
    const used = all.length - removed.length;
    const text =
      removed.length === 0 ? 'none is unused' : `removed ${removed.map((name) => `'${name}'`).join(', ')}`;
    if (failed.length === 0) yield ok('wait queues', `${text}; ${used} in use`, { removed, used });
    else
      yield fail(
        'wait queues',
        `${text}; not removed: ${failed.map(({ name, error }) => `'${name}': ${errorText(error)}`).join('; ')}`,
        exitCodeOf(failed[0]?.error),
        undefined,
        { removed, failed: failed.map(({ name }) => name), used },
      );
  } catch (error) {
    if (!isQueueError(error, 'UNSUPPORTED')) yield failure('wait queues', error);
    else if (!error.message.includes('managementUrl'))
      yield ok('wait queues', `unknown whether any is unused: ${error.message}`);
    else
      yield warn(
        'wait queues',
        `not listed: ${error.message}`,
        'add --management-url, such as http://localhost:15672',
      );
  }
}

/** The queues that are unused in a second, newer list as well. */
async function stillUnused(
  operator: Operator,
  unused: readonly WaitQueue[],
  lookAgainMs: number,
): Promise<readonly WaitQueue[]> {
  if (unused.length === 0) return [];
  await pause(lookAgainMs, undefined, { keepAlive: true });
  const names = new Set(unused.map(({ name }) => name));
  const again = (await operator.waitQueues?.()) ?? [];
  return again.filter(({ name, state }) => state === 'unused' && names.has(name));
}

async function* lostCheck(broker: Backend): AsyncGenerator<Check> {
  try {
    const { ready } = await broker.inspect(LOST);
    if (ready === 0) return;
    yield warn(
      'delayed messages',
      `${ready} in '${LOST}': their queue did not exist when they were due`,
      `inspect them (millrace peek ${LOST}), declare the queue, and move them (millrace move)`,
      { lost: ready },
    );
  } catch (error) {
    if (!isQueueError(error, 'QUEUE_MISSING')) yield failure('delayed messages', error);
  }
}
