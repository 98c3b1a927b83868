/**
 * Fills the queue of a lock with one message per permit, stored exactly once, however many processes start at the same
 * time and wherever one of them dies.
 *
 * A held permit is not in the queue, so the message count does not show whether any are missing. But every backend
 * decides which process declared a queue first: a declaration that must match creates the queue, accepts one with
 * exactly these properties, or is refused. So an empty queue serves as a write-once register, whose value is its
 * capacity:
 *
 *   <name>.permits        how many permits the lock has
 *   <name>, <name>.2, …   the permits; the capacity is a random number, known only to the process that fills the queue
 *   <name>.filled         which of these queues is complete: 1 for <name>, 2 for <name>.2
 *
 *   claim a queue ──► publish the permits ──► write <name>.filled ──► filled
 *      ▲  │                   │                        └── another process was first: use its queue
 *      │  └─ claimed by another process: wait for <name>.filled
 *      └──(that process died, or a publish was sent twice)──── claim the next queue
 *
 * Each queue has one writer, so late messages of a process that was cut off can only reach a queue that is not in use.
 */
import { randomInt } from 'node:crypto';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Backend, QueueSpec } from '../broker.js';
import { pause } from '../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../errors.js';
import { defineQueue, type QueueOptions } from '../queue.js';

/** How long the process that claimed a queue may take to fill it before others presume that it died. */
const FILL_LIMIT_MS = 3_000;
const POLL_MS = 25;
/** Each further claim means that a process died within the same few milliseconds of its work. */
const MAX_CLAIMS = 100;

/** Resolves to the name of the queue that holds the permits; creates and fills it if the lock is new. */
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
    `the lock '${name}' could not be created: ${MAX_CLAIMS} processes started to fill its queue and none finished`,
  );
}

/** The queue must exist: if it was deleted, waiting on a new, empty one would never end. */
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
      `the lock '${name}' was created with a number of permits other than ${permits}: use that number everywhere, ` +
        `or delete its queues while the lock is not in use: ${error.message}`,
      { cause: error },
    );
  }
}

/** False if another process has claimed the queue. */
function claimQueue(broker: Backend, queue: string): Promise<boolean> {
  return write(broker, queue, randomInt(2 ** 32, 2 ** 47));
}

/**
 * Publishes the permits. False if one may be in the queue twice, because a connection was lost before it was confirmed.
 * If a publish fails, the claim is given up.
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
    `the queue '${name}.filled' was not created by a lock: choose another name for the lock`,
  );
}

/** Resolves when a queue is complete, or when the process that fills it must be presumed dead. */
async function untilFilled(broker: Backend, name: string): Promise<void> {
  const end = performance.now() + FILL_LIMIT_MS;
  while (performance.now() < end) {
    if (await exists(broker, `${name}.filled`)) return;
    await pause(POLL_MS, undefined, { keepAlive: true });
  }
}

/** Writes a register. False if it holds another value. */
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

/** A permit returns each time a holder dies, and must never be dropped for that: there is no delivery limit. */
function specOf(name: string, options: QueueOptions): QueueSpec {
  const { spec } = defineQueue(name, ANYTHING, {
    deadLetter: false,
    deliveryLimit: Number.POSITIVE_INFINITY,
    ...options,
  });
  // The first declaration must stay in force, since it is the value that is read.
  return { ...spec, fixed: true };
}
