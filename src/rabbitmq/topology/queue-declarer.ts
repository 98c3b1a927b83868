import type { Channel } from 'amqplib';
import { isQueueError, QueueError } from '../../errors.js';
import { isInterrupted, queueError, replyCode } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import { onOwnChannel } from '../connection/request.js';
import type { QueueDeclaration, QueueOptions } from './queue-arguments.js';

/** Declares single queues, so that a refusal affects nothing else. */
export class QueueDeclarer {
  readonly #openSeparate: () => Promise<Connection>;

  /** `openSeparate` opens a connection for a declaration that may cost the one it is made on. */
  constructor(openSeparate: () => Promise<Connection>) {
    this.#openSeparate = openSeparate;
  }

  /**
   * Creates the queue, or finds it as it is declared or as it was declared earlier. Resolves to what it is. Rejects with
   * `QUEUE_MISMATCH` where it is neither.
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

  /** Finds the queue, whatever its properties. */
  async check(connection: Connection, name: string): Promise<void> {
    try {
      await onOwnChannel(connection, (channel) => channel.checkQueue(name));
    } catch (error) {
      throw refusalOf(error, name);
    }
  }

  /** Finds the queue, whatever its properties, or creates it as it is declared; true in the latter case. */
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
      // Another program declared it meanwhile with other properties: then it is taken as it is.
      if (!isQueueError(error, 'QUEUE_MISMATCH')) throw error;
      return false;
    }
  }

  async #assertOnce(connection: Connection, name: string, options: QueueOptions): Promise<void> {
    const assert = (channel: Channel) => channel.assertQueue(name, options);
    try {
      if (options.durable === false && options.exclusive !== true) await this.#assertSeparately(assert);
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

  /**
   * RabbitMQ 4.3 and later refuse a transient queue that is not exclusive by closing the connection (541), with
   * everything that is on it.
   */
  async #assertSeparately(assert: (channel: Channel) => Promise<unknown>): Promise<void> {
    const separate = await this.#openSeparate();
    try {
      await onOwnChannel(separate, assert);
    } catch (error) {
      if (replyCode(separate.failure) === undefined) throw error;
      throw new QueueError(
        'BROKER_ERROR',
        `the broker takes no queue that is neither durable nor exclusive (RabbitMQ since 4.3); use durable: true, or exclusive: true: ${separate.failure?.message}`,
        { cause: separate.failure },
      );
    } finally {
      void separate.close();
    }
  }
}

/** A refusal names the queue it is about; a lost connection is for the caller, who may have another. */
function refusalOf(error: unknown, queue: string): unknown {
  return isInterrupted(error) ? error : queueError(error, `declaring '${queue}'`, queue);
}
