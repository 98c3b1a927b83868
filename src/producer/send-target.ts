import type { Backend, Message, WaitOptions } from '../broker.js';
import type { EncodedValue, Queue } from '../queue.js';

/** Where messages are sent: to the queue `name`, unless `route` says otherwise. */
export interface SendTarget<In, Result> {
  /** The name in errors and traces. */
  readonly name: string;
  /** The method that the user calls to send one message. */
  readonly verb: 'send' | 'publish';
  /** Whether it is an error that no queue takes a message. */
  readonly mandatory: boolean;
  /**
   * Whether each message finds a queue, as long as nobody removes what was declared: one that finds none is published
   * again after a new declaration.
   */
  readonly keepsAll?: boolean;
  /** As that of a queue. */
  encode(value: In): EncodedValue | Promise<EncodedValue>;
  /** As that of a queue. */
  readonly compress?: Queue<In, unknown>['compress'];
  /** The message of a value, and its destination. Throws `INVALID_MESSAGE`. */
  route?(value: In): Pick<Message, 'origin' | 'type'>;
  /** Called before the first message, and again after a message was unroutable. */
  declare(broker: Backend, wait: WaitOptions): Promise<void>;
  /** The result of a send. */
  result(id: string, isRouted: boolean): Result;
}
