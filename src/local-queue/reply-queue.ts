import { randomUUID } from 'node:crypto';
import type { Backend, QueueSubscription, Replies, ReplyListener } from '../broker.js';
import { replyQueueSpec } from '../common/definitions/queue-spec.js';
import { REPLY_QUEUE_PREFIX } from '../common/message/reply-format.js';
import { QueueError } from '../errors.js';

/** How long declaring and subscribing may take. */
const OPEN_LIMIT_MS = 30_000;

/** Replies on a broker without direct replies: an exclusive queue that is deleted with its subscriber. */
export class ReplyQueue implements Replies {
  readonly #broker: Pick<Backend, 'declare' | 'subscribe'>;
  readonly #listener: ReplyListener;
  #opening: Promise<{ readonly name: string; readonly subscription: QueueSubscription }> | undefined;
  #closed = false;

  constructor(broker: Pick<Backend, 'declare' | 'subscribe'>, listener: ReplyListener) {
    this.#broker = broker;
    this.#listener = listener;
  }

  async replyTo(): Promise<string> {
    if (this.#closed) throw new QueueError('CLOSED', 'the replies were closed');
    this.#opening ??= this.#open();
    const opening = this.#opening;
    try {
      return (await opening).name;
    } catch (error) {
      if (this.#opening === opening) this.#opening = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const opened = await this.#opening?.catch(() => undefined);
    await opened?.subscription.close();
  }

  async #open() {
    const name = `${REPLY_QUEUE_PREFIX}${randomUUID()}`;
    const wait = { timeoutMs: OPEN_LIMIT_MS };
    await this.#broker.declare(replyQueueSpec(name), wait);
    const subscription = await this.#broker.subscribe(name, { ...wait, prefetch: 100 }, (delivery) => {
      delivery.ack();
      this.#listener.onReply(delivery.message);
    });
    subscription.unref();
    const onEnded = (reason: Error) => {
      this.#opening = undefined;
      if (!this.#closed) this.#listener.onLost(reason);
    };
    subscription.ended.then(() => onEnded(new QueueError('CLOSED', 'the broker was closed')), onEnded);
    return { name, subscription };
  }
}
