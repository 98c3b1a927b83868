import type { Backend, BrokerEvent } from '../../src/broker.js';
import type { QueueOptions } from '../../src/queue.js';

/** The options that all backends have. */
export interface SubjectOptions {
  readonly maxMessageBytes?: number;
  readonly observe?: (event: BrokerEvent) => void;
}

/** A backend under test, and the few facts about it that a case has to know. */
export interface BrokerSubject {
  readonly name: string;
  /** A fresh connection to the same broker; a private broker where it lives in memory. */
  open(options?: SubjectOptions): Promise<Backend>;
  /** The type of all queues that the cases declare. */
  readonly queueType: 'quorum' | 'classic';
  /** What all queues that the cases declare are to have besides. */
  readonly delayedRetry?: QueueOptions['delayedRetry'];
  /** Whether a newer definition changes the capacity, the dead letters and the delivery limit of a queue that is there. */
  readonly redefines?: boolean;
  /**
   * Whether a queue holds exactly its capacity. RabbitMQ's quorum queues take some more before they refuse: the
   * refusal reaches a publisher only after the queue is over its limit.
   */
  readonly exactCapacity: boolean;
  /** Whether a message to several queues is stored in all of them or in none; RabbitMQ can't promise that. */
  readonly atomicFanOut?: boolean;
  /** Whether integers that no number holds arrive as numbers all the same, which amqplib's own reader makes of them. */
  readonly losesDigits?: boolean;
  /** The groups to run; undefined: all. */
  readonly groups?: readonly string[] | undefined;
  /** Whether all that takes time is a wait, so that the cases of a group run at the same time. */
  readonly waits?: boolean;
  /** How many runs each property gets: as many as take some seconds. */
  readonly propertyRuns: number;
  /** Removes the queues whose names begin so, where the broker outlives the test run. */
  removeQueues?(prefix: string): Promise<void>;
}

/** Titles of cases that a subject can't pass, each with the reason. */
export type Skips = Readonly<Record<string, string>>;
