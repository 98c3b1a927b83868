import type {
  Backend,
  ConsumerList,
  ConsumersOptions,
  MessageState,
  Operator,
  PeekOptions,
  PeekPage,
  QueueInfo,
  QueueList,
  QueueStats,
  QueuesOptions,
  WaitOptions,
  WaitQueue,
} from '../../broker.js';
import {
  type ConsumersRequest,
  checkConsumers,
  checkPeek,
  checkQueues,
} from '../../common/operator/operator-requests.js';
import { PageWriter } from '../../common/operator/peek-page.js';
import { QueueScan } from '../../common/operator/queue-scan.js';
import { checkQueueName } from '../../common/options.js';
import { anyOf, throwIfAborted, within } from '../../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { QueueCounts } from '../topology/topology.js';
import { type Management, unknownBecause } from './management.js';

/** What the operator functions need of the broker. */
interface Parts {
  readonly broker: Backend;
  readonly management: Management;
  /** Throws `CLOSED`. */
  checkUsable(): void;
  /** The counts that AMQP reports, which are never old. */
  counts(queue: string, wait: WaitOptions): Promise<QueueCounts>;
}

/** Messages that are held at once when their sizes are not known yet. */
const FIRST_MESSAGES = 4;

/** Why RabbitMQ can't show some messages, and what to do instead. */
const CANT_PEEK: Readonly<Record<MessageState, (queue: string) => string>> = {
  ready: () => "can't continue after others: raise the limit, up to 1000",
  delayed: (queue) =>
    `can't show the delayed messages of '${queue}': retries wait in queues such as '${queue}.retry.10000' (one for each delay); peek at those`,
  unsettled: (queue) =>
    `can't show the unsettled messages of '${queue}', which its consumers hold; the list of consumers says how many each has`,
};

/** Reports the figures of the management API, or without it those of AMQP. */
export class RabbitMqOperator implements Operator {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async queues(options: QueuesOptions = {}): Promise<QueueList> {
    const request = checkQueues(options);
    return this.#ask('listing queues', options, (wait) => this.#parts.management.list(request, wait));
  }

  async queue(name: string, options: WaitOptions = {}): Promise<QueueInfo> {
    checkQueueName(name);
    return this.#ask(`inspecting '${name}'`, options, (wait) => this.#queue(name, wait));
  }

  async consumers(options: ConsumersOptions = {}): Promise<ConsumerList> {
    const request = checkConsumers(options);
    return this.#ask('listing consumers', options, (wait) => this.#consumers(request, wait));
  }

  async peek(name: string, options: PeekOptions = {}): Promise<PeekPage> {
    const request = checkPeek(name, options);
    const what = `looking into '${name}'`;
    const wait = this.#begin(what, options);
    if (request.state !== 'ready' || request.after !== undefined) {
      throw new QueueError(
        'UNSUPPORTED',
        `RabbitMQ ${CANT_PEEK[request.after === undefined ? request.state : 'ready'](name)}`,
      );
    }
    const { type } = await this.queue(name, wait);
    if (type === 'stream') {
      throw new QueueError('UNSUPPORTED', `'${name}' is a stream, whose messages can't be given back`);
    }
    const { broker } = this.#parts;
    const scan = await QueueScan.begin(broker, name, wait, Math.min(request.limit, FIRST_MESSAGES));
    const page = new PageWriter(request);
    try {
      for (let count = 1; ; count++) {
        const delivery = await scan.next(request.limit + 1 - count);
        if (delivery === undefined) break;
        const { message, attempt, redelivered } = delivery;
        const facts = { message, state: 'ready', attempt, redelivered } as const;
        if (!page.add([0, count], { ...facts, dueAt: undefined, holder: undefined, heldSince: undefined }))
          break;
      }
    } finally {
      await scan.end();
    }
    return page.finish(true);
  }

  async pause(queue: string): Promise<void> {
    checkQueueName(queue);
    throw new QueueError(
      'UNSUPPORTED',
      `can't pause '${queue}': RabbitMQ has no way to pause a queue for all its consumers; pause each consumer with consumer.pause()`,
    );
  }

  async resume(queue: string): Promise<void> {
    checkQueueName(queue);
    throw new QueueError('UNSUPPORTED', `RabbitMQ can't pause a queue, so '${queue}' is not paused`);
  }

  async #consumers(request: ConsumersRequest, wait: WaitOptions): Promise<ConsumerList> {
    const { counts, management } = this.#parts;
    // The API may not know a new queue yet; AMQP does.
    if (request.queue !== undefined) await counts(request.queue, wait);
    return management.consumers(request, wait);
  }

  async #queue(name: string, wait: WaitOptions): Promise<QueueInfo> {
    const { broker, management, counts } = this.#parts;
    const now = await counts(name, wait);
    try {
      const info = await management.queue(name, now, wait);
      if (info !== undefined) return info;
      return bareInfo(name, { ...(await broker.inspect(name, wait)), ...now });
    } catch (error) {
      if (!isQueueError(error, 'UNSUPPORTED', 'UNREACHABLE', 'ACCESS_REFUSED')) throw error;
      return bareInfo(name, unknownBecause(error, await broker.inspect(name, wait)));
    }
  }

  async waitQueues(options: WaitOptions = {}): Promise<readonly WaitQueue[]> {
    return this.#ask('listing wait queues', options, (wait) => this.#parts.management.waitQueues(wait));
  }

  async removeWaitQueue(waitQueue: WaitQueue, options: WaitOptions = {}): Promise<boolean> {
    const { name, queue } = waitQueue;
    const wait = this.#begin(`removing '${name}'`, options);
    const { broker, counts, management } = this.#parts;
    // The API's list may be seconds old, and quorum queues do not support conditional removal.
    const { consumers } = await counts(queue, wait).catch(ifMissing);
    if (await management.mayBeUsed(waitQueue, consumers, wait)) return false;
    const { ready } = await counts(name, wait).catch(ifMissing);
    if (ready > 0) return false;
    try {
      await broker.remove(name, wait);
      return true;
    } catch (error) {
      // The list was older than its end.
      if (isQueueError(error, 'QUEUE_MISSING')) return false;
      throw error;
    }
  }

  /** Requests end with the wait for them: those of a slow server must not pile up. */
  async #ask<T>(what: string, options: WaitOptions, ask: (wait: WaitOptions) => Promise<T>): Promise<T> {
    const wait = this.#begin(what, options);
    const over = new AbortController();
    const { signal, release } = anyOf(wait.signal === undefined ? [over.signal] : [over.signal, wait.signal]);
    try {
      return await within(ask({ ...wait, signal }), what, wait, 'no answer');
    } finally {
      over.abort();
      release();
    }
  }

  #begin(what: string, { signal, timeoutMs }: WaitOptions): WaitOptions {
    this.#parts.checkUsable();
    throwIfAborted(signal, what);
    return { signal, timeoutMs };
  }
}

function ifMissing(error: unknown): QueueCounts {
  if (isQueueError(error, 'QUEUE_MISSING')) return { ready: 0, consumers: 0 };
  throw error;
}

/** A queue of which only AMQP's counts are known. */
function bareInfo(name: string, stats: QueueStats): QueueInfo {
  return {
    name,
    type: undefined,
    capacity: undefined,
    deadLetterQueue: undefined,
    exclusive: undefined,
    autoDelete: undefined,
    paused: false,
    internal: false,
    ...stats,
  };
}
