import type { Broker } from '../broker.js';
import { isQueueError, QueueError } from '../errors.js';
import type { Queue } from '../queue.js';
import { QueueScan } from './scan.js';
import type { Selection } from './selection.js';

/** Where dead letters lie, and what they were. */
export interface Source {
  readonly broker: Broker;
  /** The queue that they were messages of. */
  readonly name: string;
  readonly deadLetterQueue: string;
  /** Whether the dead-letter queue was named by the caller: then it has to be there. */
  readonly isNamed: boolean;
  /** Undefined: what the messages of the queue are to look like is not known. */
  readonly decode: Queue<never, unknown>['decode'] | undefined;
}

/**
 * Begins to go through the letters. Undefined where there is no dead-letter queue, since one is made only when it is
 * first needed. Rejects with `QUEUE_MISSING` where the queue itself is not there either.
 */
export async function beginWalk(
  source: Source,
  { wait }: Selection,
  maxWindow?: number,
): Promise<QueueScan | undefined> {
  try {
    return await QueueScan.begin(source.broker, source.deadLetterQueue, wait, maxWindow);
  } catch (error) {
    if (!isQueueError(error, 'QUEUE_MISSING') || source.isNamed) throw error;
  }
  try {
    await source.broker.inspect(source.name, wait);
    return undefined;
  } catch (cause) {
    if (!isQueueError(cause, 'QUEUE_MISSING')) throw cause;
    throw new QueueError(
      'QUEUE_MISSING',
      `there is neither a queue '${source.name}' nor its dead-letter queue '${source.deadLetterQueue}'; where dead letters lie in another one, name it`,
      { cause },
    );
  }
}
