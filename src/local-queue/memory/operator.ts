import type {
  Operator,
  PeekedMessage,
  PeekOptions,
  PeekPage,
  QueueInfo,
  QueueList,
  QueuesOptions,
  WaitOptions,
} from '../../broker.js';
import { shareHeaders } from '../../common/headers.js';
import { checkQueueName } from '../../common/options.js';
import {
  byName,
  type Cursor,
  checkPeek,
  checkQueues,
  PageWriter,
  type PeekRequest,
} from '../../common/peek.js';
import type { MemoryQueue } from './queue.js';
import type { StoredMessage } from './stored-message.js';
import type { MemorySubscription } from './subscription.js';

/** What the operator sees of the broker. */
interface Parts {
  all(): Iterable<MemoryQueue>;
  /** Throws `QUEUE_MISSING`, `CLOSED` and `ABORTED`. */
  named(queue: string, action: string, options: WaitOptions | undefined): MemoryQueue;
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
    const found = [...this.#parts.all()].filter(({ name }) => name.includes(match)).sort(byName);
    return { queues: found.slice(0, limit).map(infoOf), total: found.length, parked: 0 };
  }

  async queue(name: string, options?: WaitOptions): Promise<QueueInfo> {
    checkQueueName(name);
    return infoOf(this.#parts.named(name, 'inspect', options));
  }

  async peek(name: string, options?: PeekOptions): Promise<PeekPage> {
    const request = checkPeek(name, options);
    const page = new PageWriter(request);
    for (const [place, stored, more] of this.#placed(this.#parts.named(name, 'peek', options), request)) {
      if (!page.isAfter(place)) continue;
      const { message, attempt, redelivered } = stored;
      const added = page.add(place, {
        message: { ...message, headers: shareHeaders(message.headers) },
        state: request.state,
        attempt,
        redelivered,
        dueAt: undefined,
        holder: undefined,
        ...more,
      });
      if (!added) return page.finish(false);
    }
    return page.finish(true);
  }

  async pause(name: string, options?: WaitOptions): Promise<void> {
    checkQueueName(name);
    this.#parts.named(name, 'pause', options).pause();
  }

  async resume(name: string, options?: WaitOptions): Promise<void> {
    checkQueueName(name);
    this.#parts.named(name, 'resume', options).resume();
  }

  *#placed(queue: MemoryQueue, { state }: PeekRequest): Iterable<Placed> {
    if (state === 'ready') {
      for (const stored of queue.ready) yield [[-stored.priority, stored.place], stored, {}];
    } else if (state === 'delayed') {
      const epoch = Date.now() - performance.now();
      for (const { stored, dueAt, arrival } of queue.retrying) {
        yield [[dueAt, arrival], stored, { dueAt: Math.round(epoch + dueAt) }];
      }
    } else {
      const unsettled: StoredMessage[] = [];
      for (const subscription of this.#parts.subscriptions) {
        if (subscription.queue === queue) unsettled.push(...subscription.unsettled);
      }
      const holder = `process ${process.pid}`;
      for (const stored of unsettled.sort((one, other) => one.place - other.place)) {
        yield [[0, stored.place], stored, { holder }];
      }
    }
  }
}

function infoOf(queue: MemoryQueue): QueueInfo {
  const { name, capacity, deadLetterQueue, paused, spec } = queue;
  return {
    name,
    type: 'local',
    capacity,
    deadLetterQueue: deadLetterQueue?.name ?? null,
    exclusive: spec.exclusive,
    autoDelete: spec.autoDelete,
    paused,
    internal: false,
    ...queue.stats(),
  };
}
