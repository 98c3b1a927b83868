import type { Channel } from 'amqplib';
import { isQueueError, QueueError } from '../../errors.js';
import { isInterrupted, queueError, replyCode } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import { onOwnChannel } from '../connection/request.js';
import type { QueueDeclaration } from './queue-arguments.js';

/** Declares single queues, so that a refusal takes nothing else down. */
export class QueueDeclarer {
  readonly #openThrowAway: () => Promise<Connection>;

  /** `openThrowAway` opens a connection for a declaration that may cost the one it is made on. */
  constructor(openThrowAway: () => Promise<Connection>) {
    this.#openThrowAway = openThrowAway;
  }

  /** Creates the queue, or finds it as it is declared. */
  async assert(connection: Connection, { name, options }: QueueDeclaration): Promise<void> {
    const assert = (channel: Channel) => channel.assertQueue(name, options);
    try {
      if (options.durable === false && options.exclusive !== true) await this.#assertAside(assert);
      else await onOwnChannel(connection, assert);
    } catch (error) {
      throw refusalOf(error, name);
    }
  }

  /** Finds the queue, whatever it is like. */
  async check(connection: Connection, name: string): Promise<void> {
    try {
      await onOwnChannel(connection, (channel) => channel.checkQueue(name));
    } catch (error) {
      throw refusalOf(error, name);
    }
  }

  /** Finds the queue, whatever it is like, or creates it as it is declared. */
  async assertIfMissing(connection: Connection, declaration: QueueDeclaration): Promise<void> {
    try {
      await this.check(connection, declaration.name);
      return;
    } catch (error) {
      if (!isQueueError(error, 'QUEUE_MISSING')) throw error;
    }
    try {
      await this.assert(connection, declaration);
    } catch (error) {
      // Somebody else declared it in between, as something else: then that is what there is.
      if (!isQueueError(error, 'QUEUE_MISMATCH')) throw error;
    }
  }

  /**
   * RabbitMQ 4.3 and later refuse a transient queue that is not exclusive by closing the connection (541), with
   * everything that is on it.
   */
  async #assertAside(assert: (channel: Channel) => Promise<unknown>): Promise<void> {
    const aside = await this.#openThrowAway();
    try {
      await onOwnChannel(aside, assert);
    } catch (error) {
      if (replyCode(aside.failure) === undefined) throw error;
      throw new QueueError(
        'BROKER_ERROR',
        `the broker takes no queue that is neither durable nor exclusive (RabbitMQ since 4.3); use durable: true, or exclusive: true: ${aside.failure?.message}`,
        { cause: aside.failure },
      );
    } finally {
      void aside.close();
    }
  }
}

/** A refusal names the queue it is about; a lost connection is for the caller, who may have another. */
function refusalOf(error: unknown, queue: string): unknown {
  return isInterrupted(error) ? error : queueError(error, `declaring '${queue}'`, queue);
}
