import type { QueueSpec } from '../../broker.js';
import type { Queue } from '../../queue.js';
import { CommandError, EXIT } from '../exit-code.js';
import { importModule } from '../import-module.js';
import { sendingQueue } from '../text-queue.js';

/** A queue that is called like this is rather a module that is meant. */
const MODULE = /\.[cm]?[jt]s$/;

/**
 * The queues that are meant: those that a module exports, or the one of that name, as `send` and `work` declare it.
 */
export async function definitions(subject: string): Promise<readonly QueueSpec[]> {
  if (!MODULE.test(subject)) return [sendingQueue(subject).spec];
  const module = await importModule('queue module', subject);
  const specs = Object.values(module)
    .filter(isQueue)
    .map(({ spec }) => spec);
  if (specs.length > 0) return specs;
  throw new CommandError(
    EXIT.configuration,
    `the queue module '${subject}' exports no queue; write: export const orders = defineQueue('orders', schema, { … })`,
  );
}

function isQueue(value: unknown): value is Pick<Queue<unknown>, 'spec'> {
  return (
    typeof value === 'object' && value !== null && 'spec' in value && 'encode' in value && 'decode' in value
  );
}
