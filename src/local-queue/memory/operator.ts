import { hostname } from 'node:os';
import {
  type ConsumerList,
  type ConsumersOptions,
  MAX_PRIORITY,
  type Operator,
  type PeekedMessage,
  type PeekOptions,
  type PeekPage,
  type QueueConsumer,
  type QueueInfo,
  type QueueList,
  type QueueStats,
  type QueuesOptions,
  type WaitOptions,
} from '../../broker.js';
import { shareHeaders } from '../../common/message/headers.js';
import {
  byName,
  checkConsumers,
  checkPeek,
  checkQueues,
  type PeekRequest,
} from '../../common/operator/operator-requests.js';
import { type Cursor, PageWriter } from '../../common/operator/peek-page.js';
import { checkQueueName } from '../../common/options.js';
import { localFigures } from '../local-broker.js';
import type { MemoryQueue } from './queue.js';
import type { MemoryQueues } from './queues.js';
import type { StoredMessage } from './stored-message.js';
import type { MemorySubscription } from './subscription.js';

/** The operator's view of the broker. */
interface Parts {
  readonly queues: MemoryQueues;
  /** Throws `CLOSED` and `ABORTED`. */
  checkUsable(action: string, options: WaitOptions | undefined): void;
  readonly subscriptions: Iterable<MemorySubscription>;
}

type Placed = readonly [place: Cursor, stored: StoredMessage, more: Partial<PeekedMessage>];

export class MemoryOperator implements Operator {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async queues(options?: QueuesOptions): Promise<QueueList> {
    const { match, limit } = checkQueues(options);
    this.#parts.checkUsable('listing queues', options);
    const { queues } = this.#parts;
    const found = [...queues.all()].filter(({ name }) => name.includes(match)).sort(byName);
    const infos = found.slice(0, limit).map((queue) => infoOf(queue, queues));
    return { queues: infos, total: found.length, parked: 0 };
  }

  async queue(name: string, options?: WaitOptions): Promise<QueueInfo> {
    checkQueueName(name);
    return infoOf(this.#named(name, 'inspect', options), this.#parts.queues);
  }

  async consumers(options?: ConsumersOptions): Promise<ConsumerList> {
    const { queue, limit } = checkConsumers(options);
    this.#parts.checkUsable('listing consumers', options);
    if (queue !== undefined) this.#named(queue, 'inspect', options);
    const consumers = [...this.#parts.subscriptions]
      .filter(
        (subscription) =>
          subscription.isActive && (queue ?? subscription.queue.name) === subscription.queue.name,
      )
      .map(consumerOf)
      .sort((a, b) => byName({ name: a.queue }, { name: b.queue }));
    return {
      consumers: consumers.slice(0, limit),
      total: consumers.length,
      unknown: { settledAt: 'the in-memory broker does not record settlement times' },
    };
  }

  async peek(name: string, options?: PeekOptions): Promise<PeekPage> {
    const request = checkPeek(name, options);
    const page = new PageWriter(request);
    for (const [place, stored, more] of this.#placed(this.#named(name, 'peek', options), request)) {
      if (!page.isAfter(place)) continue;
      const { message, attempt, redelivered } = stored;
      const added = page.add(place, {
        message: { ...message, headers: shareHeaders(message.headers) },
        state: request.state,
        attempt,
        redelivered,
        dueAt: undefined,
        holder: undefined,
        heldSince: undefined,
        ...more,
      });
      if (!added) return page.finish(false);
    }
    return page.finish(true);
  }

  async pause(name: string, options?: WaitOptions): Promise<void> {
    checkQueueName(name);
    this.#named(name, 'pause', options).paused = true;
  }

  async resume(name: string, options?: WaitOptions): Promise<void> {
    checkQueueName(name);
    const queue = this.#named(name, 'resume', options);
    queue.paused = false;
    queue.wake();
  }

  #named(queue: string, action: string, options: WaitOptions | undefined): MemoryQueue {
    this.#parts.checkUsable(action, options);
    return this.#parts.queues.named(queue);
  }

  *#placed(queue: MemoryQueue, { state }: PeekRequest): Iterable<Placed> {
    if (state === 'ready') {
      for (const stored of queue.listReady())
        yield [[MAX_PRIORITY - stored.priority, stored.place], stored, {}];
    } else if (state === 'delayed') {
      const epoch = Date.now() - performance.now();
      for (const { stored, dueAt, arrival } of queue.delayed.inOrder) {
        yield [[dueAt, arrival], stored, { dueAt: Math.round(epoch + dueAt) }];
      }
    } else {
      const unsettled: MemorySubscription['unsettled'][number][] = [];
      for (const subscription of this.#parts.subscriptions) {
        if (subscription.queue === queue) unsettled.push(...subscription.unsettled);
      }
      const holder = `process ${process.pid}`;
      for (const { stored, since } of unsettled.sort((one, other) => one.stored.place - other.stored.place)) {
        yield [[0, stored.place], stored, { holder, heldSince: since }];
      }
    }
  }
}

function consumerOf({ queue, since, unsettled }: MemorySubscription): QueueConsumer {
  return {
    queue: queue.name,
    pid: process.pid,
    host: hostname(),
    connection: undefined,
    subscriptions: 1,
    since,
    unsettled: unsettled.length,
    settledAt: undefined,
  };
}

function infoOf(queue: MemoryQueue, queues: MemoryQueues): QueueInfo {
  const { name, capacity, deadLetterTarget, paused, spec } = queue;
  return {
    name,
    type: 'local',
    capacity,
    deadLetterQueue: deadLetterTarget.deadLetterQueue ?? null,
    exclusive: spec.exclusive,
    autoDelete: spec.autoDelete,
    paused,
    internal: false,
    ...statsOf(queue, queues),
  };
}

export function statsOf(queue: MemoryQueue, queues: MemoryQueues): QueueStats {
  const held = queue.countHeld();
  const ready = queue.listReady();
  const delayed = queue.delayed.length;
  const waiting = ready.length;
  const { deadLetterQueue } = queue.deadLetterTarget;
  const dead = deadLetterQueue === undefined ? undefined : queues.get(deadLetterQueue);
  return {
    ready: waiting,
    consumers: queue.consumers,
    unsettled: held - waiting - delayed,
    delayed,
    dead: dead?.countHeld() ?? 0,
    ...localFigures(waiting, ready.oldestTimestamp, queue.flow.look()),
  };
}
