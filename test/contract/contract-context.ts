import { randomUUID } from 'node:crypto';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { expect } from 'vitest';
import { z } from 'zod';
import type {
  Backend,
  Destination,
  Message,
  PublishOptions,
  QueueSpec,
  QueueStats,
  SubscribeOptions,
} from '../../src/broker.js';
import { isQueueError } from '../../src/errors.js';
import { defineQueue, type Queue, type QueueOptions } from '../../src/queue.js';
import { untilAsserted } from '../support/eventually.js';
import { Inbox } from '../support/inbox.js';
import type { BrokerSubject, SubjectOptions } from './subject.js';

/** The context of one case: an open broker of the subject, and queues that no other case uses. */
export class ContractContext {
  readonly subject: BrokerSubject;
  readonly broker: Backend;
  readonly #prefix: string;
  readonly #opened: Backend[] = [];
  #queues = 0;

  private constructor(subject: BrokerSubject, broker: Backend) {
    this.subject = subject;
    this.broker = broker;
    this.#prefix = `contract-${randomUUID()}`;
    this.#opened.push(broker);
  }

  static async open(subject: BrokerSubject): Promise<ContractContext> {
    return new ContractContext(subject, await subject.open());
  }

  /** One more broker of the subject, closed with this one. */
  async open(options?: SubjectOptions): Promise<Backend> {
    const broker = await this.subject.open(options);
    this.#opened.push(broker);
    return broker;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((broker) => broker.close()));
    await this.subject.removeQueues?.(this.#prefix);
  }

  /** Brokers of their own, or the one broker if it is in memory. */
  async connections(count: number): Promise<Backend[]> {
    const queue = await this.declare();
    const other = await this.open();
    const isShared = await other.inspect(queue.name).then(
      () => true,
      () => false,
    );
    if (!isShared) return Array.from({ length: count }, () => this.broker);
    const more = Array.from({ length: count - 2 }, () => this.open());
    return [this.broker, other, ...(await Promise.all(more))];
  }

  queueName(): string {
    return `${this.#prefix}-${++this.#queues}`;
  }

  define<S extends StandardSchemaV1>(
    schema: S,
    options?: QueueOptions<StandardSchemaV1.InferInput<S>>,
  ): Queue<StandardSchemaV1.InferInput<S>, StandardSchemaV1.InferOutput<S>> {
    const { queueType: type, delayedRetry } = this.subject;
    return defineQueue(this.queueName(), schema, { type, delayedRetry, ...options });
  }

  /** The spec of a queue; of the one called `name`, where that is given. */
  spec(options?: QueueOptions, name = this.queueName()): QueueSpec {
    const { queueType: type, delayedRetry } = this.subject;
    return defineQueue(name, z.unknown(), { type, delayedRetry, ...options }).spec;
  }

  /** A spec that no backend takes for the queue of that name: of the other type. */
  otherSpec(name: string): QueueSpec {
    const type = this.subject.queueType === 'quorum' ? 'classic' : 'quorum';
    return defineQueue(name, z.unknown(), { type }).spec;
  }

  /** A new queue on this context's broker. */
  async declare(options?: QueueOptions): Promise<QueueSpec> {
    const spec = this.spec(options);
    await this.broker.declare(spec);
    return spec;
  }

  inbox(queue: string | QueueSpec, options?: Partial<SubscribeOptions>): Promise<Inbox> {
    return Inbox.open(this.broker, nameOf(queue), options);
  }

  /** Publishes a small message of that id. */
  publish(queue: string | QueueSpec, id: string, options?: PublishOptions): Promise<boolean> {
    return this.broker.publish(addressOf(queue), message({ id, body: `body of ${id}` }), options);
  }

  /** Publishes one after the other, so that this is their order in the queue. */
  async publishAll(queue: string | QueueSpec, ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.publish(queue, id);
  }

  /** Publishes until the queue has no more room, and returns the ids of its messages. */
  async fill(queue: string | QueueSpec): Promise<string[]> {
    const ids: string[] = [];
    while (ids.length < 500) {
      const id = `fill-${ids.length}`;
      try {
        await this.publish(queue, id, { noWait: true });
      } catch (error) {
        if (isQueueError(error, 'FULL')) return ids;
        throw error;
      }
      ids.push(id);
    }
    throw new Error(`'${nameOf(queue)}' took 500 messages and was not full`);
  }

  /**
   * Waits until the broker counts these. What a verb without an answer changes, or the end of a subscription,
   * RabbitMQ's queues see a moment later.
   */
  async untilCounted(queue: string | QueueSpec, stats: Partial<QueueStats>): Promise<void> {
    await untilAsserted(async () => {
      expect(await this.broker.inspect(nameOf(queue))).toMatchObject(stats);
    });
  }

  async ready(queue: string | QueueSpec): Promise<number> {
    return (await this.broker.inspect(nameOf(queue))).ready;
  }
}

/** A message with every required part, for cases that care about some of them. */
export function message(parts: Partial<Message> = {}): Message {
  return { id: randomUUID(), contentType: 'text/plain', headers: {}, body: 'some text', ...parts };
}

export function addressOf(queue: string | QueueSpec): Destination {
  return { exchange: '', routingKey: nameOf(queue) };
}

function nameOf(queue: string | QueueSpec): string {
  return typeof queue === 'string' ? queue : queue.name;
}

/** `count` names that tell their order. */
export function numbered(count: number, prefix = 'm'): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}
