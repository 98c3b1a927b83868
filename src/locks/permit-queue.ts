/**
 * Fills the queue of a lock: one message a permit, stored exactly once, however many processes begin at the same time
 * and wherever one of them dies.
 *
 * A permit that is held is not in the queue, so counting its messages does not tell whether any are missing. What every
 * backend knows is who declared a queue first: a declaration that must match creates the queue, or finds it with
 * exactly these properties, or is refused. An empty queue is thereby a register that is written once, and its capacity
 * is the value:
 *
 *   <name>.permits        how many permits the lock has
 *   <name>, <name>.2, …   the permits; the capacity is a number that only the process knows that fills the queue
 *   <name>.filled         which of these queues is complete: 1 for <name>, 2 for <name>.2
 *
 *   claim a queue ──► publish the permits ──► write <name>.filled ──► filled
 *      ▲  │                   │                        └── another one was first: use that one
 *      │  └─ claimed by others: wait for <name>.filled
 *      └──(they died, or a publish was sent twice)──── claim the next queue
 *
 * Each queue has one writer, so what a process that was cut off sends late can only reach a queue that nobody uses.
 */
import { randomInt } from 'node:crypto';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Backend, QueueSpec } from '../broker.js';
import { pause } from '../common/limits.js';
import { isQueueError, QueueError } from '../errors.js';
import { defineQueue, type QueueOptions } from '../queue.js';

/** How long the process that claimed a queue may take to fill it, before others take it for dead. */
const FILL_LIMIT_MS = 3_000;
const POLL_MS = 25;
/** Each of them cost a process its life, at the same few milliseconds of its work. */
const MAX_CLAIMS = 100;

/** The name of the queue that has the permits of the lock, filled by this call if it is new. */
export async function fillPermits(broker: Backend, name: string, permits: number): Promise<string> {
  await checkPermits(broker, name, permits);
  for (let claim = 1; claim <= MAX_CLAIMS; claim++) {
    if (await claimQueue(broker, queueName(name, claim))) {
      if (await isFilledOnce(broker, queueName(name, claim), permits)) await writeFilled(broker, name, claim);
    } else {
      await untilFilled(broker, name);
    }
    const filled = await readFilled(broker, name);
    if (filled !== undefined) return queueName(name, filled);
  }
  throw new QueueError(
    'BROKER_ERROR',
    `the lock '${name}' could not be made: ${MAX_CLAIMS} processes began to fill its queue and none finished`,
  );
}

/** A queue that is taken as it is: should it have been deleted, waiting in a new and empty one would never end. */
export function permitQueueSpec(queue: string): QueueSpec {
  return specOf(queue, { declare: 'existing' });
}

/** Throws `INVALID_OPTION`. */
export function checkLockName(name: string): void {
  for (const each of [name, `${name}.permits`]) specOf(each, {});
}

function queueName(name: string, claim: number): string {
  return claim === 1 ? name : `${name}.${claim}`;
}

async function checkPermits(broker: Backend, name: string, permits: number): Promise<void> {
  try {
    await broker.declare(specOf(`${name}.permits`, { capacity: permits }));
  } catch (error) {
    if (!isQueueError(error, 'QUEUE_MISMATCH')) throw error;
    throw new QueueError(
      'QUEUE_MISMATCH',
      `the lock '${name}' has another number of permits than ${permits}, set by whoever made it first: use that ` +
        `number everywhere, or delete its queues while nobody uses it: ${error.message}`,
      { cause: error },
    );
  }
}

/** False if another process claimed it. */
function claimQueue(broker: Backend, queue: string): Promise<boolean> {
  return write(broker, queue, randomInt(2 ** 32, 2 ** 47));
}

/**
 * Publishes the permits. False where one may be in the queue twice, because its link broke before it was confirmed.
 * Should a publish fail, the claim is lost with it.
 */
async function isFilledOnce(broker: Backend, queue: string, permits: number): Promise<boolean> {
  const { resent } = broker.counts;
  const publish = (permit: number) =>
    broker.publish(
      { exchange: '', routingKey: queue },
      { id: `${queue}:${permit}`, contentType: 'text/plain', headers: {}, body: String(permit) },
    );
  await Promise.all(Array.from({ length: permits }, (_, permit) => publish(permit)));
  return broker.counts.resent === resent;
}

async function writeFilled(broker: Backend, name: string, claim: number): Promise<void> {
  await write(broker, `${name}.filled`, claim);
}

/** Undefined while no queue is complete. */
async function readFilled(broker: Backend, name: string): Promise<number | undefined> {
  if (!(await exists(broker, `${name}.filled`))) return undefined;
  for (let claim = 1; claim <= MAX_CLAIMS; claim++) {
    if (await write(broker, `${name}.filled`, claim)) return claim;
  }
  throw new QueueError(
    'QUEUE_MISMATCH',
    `the queue '${name}.filled' was not made by a lock: give it another name`,
  );
}

/** Returns at the latest when the process that fills the queue must be presumed dead. */
async function untilFilled(broker: Backend, name: string): Promise<void> {
  const end = performance.now() + FILL_LIMIT_MS;
  while (performance.now() < end) {
    if (await exists(broker, `${name}.filled`)) return;
    await pause(POLL_MS, undefined, { keepAlive: true });
  }
}

/** Writes a register. False where another value was written before. */
async function write(broker: Backend, register: string, value: number): Promise<boolean> {
  try {
    await broker.declare(specOf(register, { capacity: value }));
    return true;
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISMATCH')) return false;
    throw error;
  }
}

async function exists(broker: Backend, queue: string): Promise<boolean> {
  try {
    await broker.inspect(queue);
    return true;
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISSING')) return false;
    throw error;
  }
}

const ANYTHING: StandardSchemaV1 = {
  '~standard': { version: 1, vendor: 'millrace', validate: (value) => ({ value }) },
};

/** A permit comes back as often as its holders die: it must never be dropped for it. */
function specOf(name: string, options: QueueOptions): QueueSpec {
  const { spec } = defineQueue(name, ANYTHING, {
    deadLetter: false,
    deliveryLimit: Number.POSITIVE_INFINITY,
    ...options,
  });
  // What it was declared with first is what is read from it.
  return { ...spec, fixed: true };
}
