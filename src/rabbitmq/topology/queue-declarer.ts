import type { Channel } from 'amqplib';
import { isQueueError, QueueError } from '../../errors.js';
import { isInterrupted, queueError, replyCode } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import { onOwnChannel } from '../connection/request.js';
import type { SeparateConnection } from '../connection/separate-connection.js';
import type { QueueDeclaration, QueueOptions } from './queue-arguments.js';

/** Declares one queue at a time, so that a refusal affects nothing else. */
export class QueueDeclarer {
  readonly #separate: SeparateConnection;

  /** `separate`: for declarations that may make the broker close their connection. */
  constructor(separate: SeparateConnection) {
    this.#separate = separate;
  }

  /**
   * Creates the queue, or accepts one that matches the declaration or one of its earlier forms. Resolves to the
   * properties of the queue. Rejects with `QUEUE_MISMATCH` if an existing queue matches none of them.
   */
  async assert(connection: Connection, { name, options, earlier }: QueueDeclaration): Promise<QueueOptions> {
    try {
      await this.#assertOnce(connection, name, options);
      return options;
    } catch (error) {
      if (!isQueueError(error, 'QUEUE_MISMATCH')) throw error;
      for (const each of earlier) if (await this.#isThere(connection, name, each)) return each;
      throw error;
    }
  }

  /** Checks that the queue exists, regardless of its properties. */
  async check(connection: Connection, name: string): Promise<void> {
    try {
      await onOwnChannel(connection, (channel) => channel.checkQueue(name));
    } catch (error) {
      throw refusalOf(error, name);
    }
  }

  /**
   * Creates the queue if it is missing; accepts an existing one regardless of its properties. True if it was created.
   */
  async assertIfMissing(connection: Connection, declaration: QueueDeclaration): Promise<boolean> {
    try {
      await this.check(connection, declaration.name);
      return false;
    } catch (error) {
      if (!isQueueError(error, 'QUEUE_MISSING')) throw error;
    }
    try {
      await this.assert(connection, declaration);
      return true;
    } catch (error) {
      // Another program has just declared it with other properties: it is used as it is.
      if (!isQueueError(error, 'QUEUE_MISMATCH')) throw error;
      return false;
    }
  }

  async #assertOnce(connection: Connection, name: string, options: QueueOptions): Promise<void> {
    const assert = (channel: Channel) => channel.assertQueue(name, options);
    try {
      const mayEndConnection = options.durable === false && options.exclusive !== true;
      if (mayEndConnection) await this.#separate.use(connection, (separate) => assertOn(separate, assert));
      else await onOwnChannel(connection, assert);
    } catch (error) {
      throw refusalOf(error, name);
    }
  }

  async #isThere(connection: Connection, name: string, options: QueueOptions): Promise<boolean> {
    try {
      await this.#assertOnce(connection, name, options);
      return true;
    } catch (error) {
      if (isInterrupted(error)) throw error;
      return false;
    }
  }
}

/**
 * RabbitMQ 4.3 and later refuse a transient queue that is not exclusive by closing the connection (541), and with it
 * everything else on that connection.
 */
async function assertOn(separate: Connection, assert: (channel: Channel) => Promise<unknown>): Promise<void> {
  try {
    await onOwnChannel(separate, assert);
  } catch (error) {
    if (replyCode(separate.failure) === undefined) throw error;
    throw new QueueError(
      'BROKER_ERROR',
      `the broker refuses queues that are neither durable nor exclusive (RabbitMQ since 4.3); use durable: true or exclusive: true: ${separate.failure?.message}`,
      { cause: separate.failure },
    );
  }
}

/** Adds the name of the queue to a refusal. A lost connection is left to the caller, who may retry on another one. */
function refusalOf(error: unknown, queue: string): unknown {
  return isInterrupted(error) ? error : queueError(error, `declaring '${queue}'`, queue);
}
