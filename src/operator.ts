/** A part of the seam: what an operator sees in a broker, without consuming messages. */
import type { WaitOptions } from './delivery.js';
import type { Message } from './message.js';

/** Figures of a queue that not every backend knows. */
export type QueueFigure = 'consumers' | 'unsettled' | 'delayed' | 'dead' | 'oldestAgeMs' | 'bytes' | 'rates';

/**
 * The content of a queue, and its number of subscribers. Settlements and cancelled subscriptions may show with a short
 * delay. A figure that the backend can't know is undefined, and `unknown` says why.
 */
export interface QueueStats {
  /** Messages ready to be delivered: neither unsettled nor delayed. */
  readonly ready: number;
  /** Subscribers; on a quorum queue including cancelled ones that still have unsettled deliveries. */
  readonly consumers: number;
  /** Messages that were delivered and are not settled. */
  readonly unsettled: number | undefined;
  /** Messages that wait: for their next attempt, or for the time at which they were to be delivered. */
  readonly delayed: number | undefined;
  /** The messages in its dead-letter queue, which it may share with other queues; 0 if it has none. */
  readonly dead: number | undefined;
  /**
   * How long ago the oldest ready message was sent, by its timestamp. Milliseconds; 0 if none is ready. Those that are first
   * in line count, of each priority, and only those with a timestamp.
   */
  readonly oldestAgeMs: number | undefined;
  /** The bodies of all its messages but the dead ones. */
  readonly bytes: number | undefined;
  /** Messages per second, as the broker counts them. */
  readonly rates: QueueRates | undefined;
  /** A sentence for each figure that is undefined. */
  readonly unknown: Readonly<Partial<Record<QueueFigure, string>>>;
}

/**
 * Messages per second, over the last few seconds. In memory, since the previous query of the queue, so that it costs
 * nothing without queries.
 */
export interface QueueRates {
  /** Stored in the queue. */
  readonly in: number;
  /** Taken out of it: acknowledged, or moved to the dead-letter queue. RabbitMQ counts each failed attempt, too. */
  readonly out: number;
}

/** One queue: its properties and its content. */
export interface QueueInfo extends Omit<QueueStats, 'consumers'> {
  /** Subscribers, as in {@link QueueStats}. A list of RabbitMQ has none if the server collects no statistics. */
  readonly consumers: number | undefined;
  /** As in its definition. */
  readonly name: string;
  /** `local` in memory and on disk; on RabbitMQ also `stream`, and any type that a plugin adds. */
  readonly type: 'local' | 'quorum' | 'classic' | (string & {}) | undefined;
  /** How many messages it may hold; `Infinity`: no limit. */
  readonly capacity: number | undefined;
  /** Where its dead letters go; null: they are dropped. */
  readonly deadLetterQueue: string | null | undefined;
  /** Whether it is deleted with the connection or the process that declared it. */
  readonly exclusive: boolean | undefined;
  /** Whether it is deleted when its last subscriber leaves. */
  readonly autoDelete: boolean | undefined;
  /** Whether its consumers get nothing until it is resumed; see {@link Operator.pause}. */
  readonly paused: boolean;
  /** Whether the toolkit made it for retries or delays of other queues, which count its messages as `delayed`. */
  readonly internal: boolean;
}

/** Which queues to list. */
export interface QueuesOptions extends WaitOptions {
  /** Only queues with this text in their name. */
  readonly match?: string | undefined;
  /** Include the queues that the toolkit created for itself. Default: false. */
  readonly internal?: boolean | undefined;
  /** How many at most: 1 to 100,000, the first by name. Default: 10,000. */
  readonly limit?: number | undefined;
}

/** The queues of a broker. */
export interface QueueList {
  /** By name, in the order of code units. */
  readonly queues: readonly QueueInfo[];
  /**
   * How many there are that match; more than `queues` has if the limit was reached. Of more than 100,000 queues on
   * RabbitMQ whose names match regardless of case, the first by name are read, and all others are counted.
   */
  readonly total: number;
  /**
   * Messages that wait until they are due and that no queue counts yet: RabbitMQ keeps delayed messages of all queues in
   * one place. 0 on local brokers, whose queues count them as `delayed`.
   */
  readonly parked: number;
}

/** The state of a message: it can be delivered, was delivered and is not settled, or waits until it is due. */
export type MessageState = 'ready' | 'unsettled' | 'delayed';

/** Which messages of a queue to peek at. */
export interface PeekOptions extends WaitOptions {
  /** RabbitMQ shows `ready` ones only. Default: `'ready'`. */
  readonly state?: MessageState | undefined;
  /** How many at most: 1 to 1000. Default: 20. */
  readonly limit?: number | undefined;
  /** The end of the previous page: its `next`. Local brokers only. */
  readonly after?: string | undefined;
  /** Longer bodies are cut. Bytes, from 0. Default: 64 KiB. */
  readonly maxBodyBytes?: number | undefined;
}

/** A message in its queue. */
export interface PeekedMessage {
  /** Its body may be cut; then a text ends between two characters. */
  readonly message: Message;
  /** The size of the whole body. */
  readonly bodyBytes: number;
  /** Where in its life it is. */
  readonly state: MessageState;
  /** Which attempt its next delivery is, or the present one. */
  readonly attempt: number;
  /** Whether it may have been delivered before. */
  readonly redelivered: boolean;
  /** Of a delayed one: when it is ready, in milliseconds since the epoch. */
  readonly dueAt: number | undefined;
  /** For an unsettled message: its holder, such as `process 4711`, if known. */
  readonly holder: string | undefined;
  /**
   * For an unsettled message: when it was delivered to its holder, in milliseconds since the epoch, if known. A consumer
   * fetches messages ahead, so its handler may not have begun yet.
   */
  readonly heldSince: number | undefined;
}

/** Some messages of a queue, and the position of the next ones. */
export interface PeekPage {
  /**
   * `ready` ones in the order of their delivery, `delayed` ones in the order in which they are due. All bodies together
   * take at most 8 MiB, or one body, so there may be fewer than requested.
   */
  readonly messages: readonly PeekedMessage[];
  /** For `after`, if there may be more; else undefined. */
  readonly next: string | undefined;
}

/** Figures of a consumer that not every backend knows. */
export type ConsumerFigure = 'pid' | 'host' | 'since' | 'unsettled' | 'settledAt';

/**
 * A consumer of a queue. In a folder: all subscriptions of one thread of a process together. On RabbitMQ: one
 * subscription. Unknown fields are undefined.
 */
export interface QueueConsumer {
  /** The queue that it takes messages from. */
  readonly queue: string;
  /** The number of its process, on its host. On RabbitMQ only of programs that use this toolkit. */
  readonly pid: number | undefined;
  /** The name of its machine or container; of another program on RabbitMQ, its address. */
  readonly host: string | undefined;
  /** The name of its connection, on RabbitMQ. */
  readonly connection: string | undefined;
  /** How many subscriptions this entry stands for. */
  readonly subscriptions: number;
  /** When it came: on RabbitMQ, its connection. Milliseconds since the epoch. */
  readonly since: number | undefined;
  /** Messages that it has and that are not settled, handled ones and prefetched ones. */
  readonly unsettled: number | undefined;
  /** When it last settled a message, to the second. Undefined if unknown, or if it never has. Milliseconds since the epoch. */
  readonly settledAt: number | undefined;
}

/** Which consumers to list. */
export interface ConsumersOptions extends WaitOptions {
  /** Those of one queue only. */
  readonly queue?: string | undefined;
  /** How many at most: 1 to 100,000. Default: 1000. */
  readonly limit?: number | undefined;
}

/** The consumers of a broker. */
export interface ConsumerList {
  /** By queue, and then as they came. */
  readonly consumers: readonly QueueConsumer[];
  /** How many there are; more than `consumers` has if the limit was reached. */
  readonly total: number;
  /** A sentence for each figure that this backend does not know of some or all of them. */
  readonly unknown: Readonly<Partial<Record<ConsumerFigure, string>>>;
}

/** A queue that the toolkit made for retries of another one, as it is found later. RabbitMQ only. */
export interface WaitQueue {
  /** The name of the wait queue itself. */
  readonly name: string;
  /** The queue whose retries wait in it. */
  readonly queue: string;
  /** Messages that wait in it. */
  readonly messages: number;
  /**
   * `unused`: it is empty, and no consumer of its queue has its delay in its `retry.delaysMs`; for the queue of a delay that
   * is computed or set by a handler: there is no consumer. `orphaned`: it holds messages for a queue that does not exist.
   * `used` otherwise.
   */
  readonly state: 'used' | 'unused' | 'orphaned';
}

/** The operator functions of a broker, beyond its own `purge` and `remove`. */
export interface Operator {
  /**
   * All queues that this user may see. On RabbitMQ it takes the management API.
   * Rejects: `UNSUPPORTED` if that can't be used, `ACCESS_REFUSED`, `INVALID_OPTION`, `TIMEOUT`, `ABORTED`, `CLOSED`.
   */
  queues(options?: QueuesOptions): Promise<QueueList>;
  /**
   * One queue. On RabbitMQ it has all figures if the management API can be used, else those that AMQP reports.
   * Rejects: `QUEUE_MISSING`, `ACCESS_REFUSED`, `TIMEOUT`, `ABORTED`, `CLOSED`.
   */
  queue(name: string, options?: WaitOptions): Promise<QueueInfo>;
  /**
   * The consumers, by process. On RabbitMQ this requires the management API. Rejects: `QUEUE_MISSING`; `UNSUPPORTED` if
   * that can't be used, `ACCESS_REFUSED`, `INVALID_OPTION`, `TIMEOUT`, `ABORTED`, `CLOSED`.
   */
  consumers(options?: ConsumersOptions): Promise<ConsumerList>;
  /**
   * Messages of a queue, which stay where they are. Local brokers read them. RabbitMQ can't: there they are delivered
   * to this process and returned at once, so consumers miss them for a moment, and then receive them marked as
   * redelivered. Rejects: `QUEUE_MISSING`, `UNSUPPORTED`, `INVALID_OPTION`, `ACCESS_REFUSED`, `TIMEOUT`, `ABORTED`,
   * `CLOSED`.
   */
  peek(queue: string, options?: PeekOptions): Promise<PeekPage>;
  /**
   * Stops the delivery of a queue's messages to all its consumers, in every process, within a moment and until
   * `resume`. Messages already delivered are handled (up to the prefetch of each consumer). Messages may still be sent,
   * peeked at, moved and purged. On disk the queue stays paused even after all processes have exited. Pausing a paused
   * queue has no effect. Rejects: `QUEUE_MISSING`; `UNSUPPORTED` on RabbitMQ, which can't do it.
   */
  pause(queue: string, options?: WaitOptions): Promise<void>;
  /** Undoes `pause`. */
  resume(queue: string, options?: WaitOptions): Promise<void>;
  /**
   * The queues in which retries wait, including those of policies that are no longer in use. Undefined on local
   * brokers, which need none. Rejects as `queues` does.
   */
  readonly waitQueues?: ((options?: WaitOptions) => Promise<readonly WaitQueue[]>) | undefined;
  /**
   * Removes a wait queue if it is unused at this moment, and resolves to whether it was. A consumer that needs it again
   * declares it again. Rejects as `queues` and `remove` do.
   */
  readonly removeWaitQueue?: ((queue: WaitQueue, options?: WaitOptions) => Promise<boolean>) | undefined;
}
