import type {
  Backend,
  BrokerEvent,
  BrokerState,
  Delivery,
  Destination,
  ExchangeSpec,
  ListedBinding,
  Message,
  PublishOptions,
  QueueSpec,
  QueueStats,
  QueueSubscription,
  Replies,
  ReplyListener,
  SharedState,
  SharedStateOptions,
  SharedStateView,
  SubscribeOptions,
  WaitOptions,
} from '../../broker.js';
import { checkPublishing, DEFAULT_MAX_MESSAGE_BYTES } from '../../common/message/create-and-check.js';
import { checkOptionNames, checkQueueName, integerOption } from '../../common/options.js';
import { Exchanges } from '../exchanges.js';
import { IgnoredArguments } from '../ignored-arguments.js';
import {
  checkWait,
  closedError,
  NO_LINK_COUNTS,
  queueMissing,
  refuseUnknown,
  takeIn,
  unrouted,
} from '../local-broker.js';
import { MergedState } from '../merged-state.js';
import { ReplyQueue } from '../reply-queue.js';
import { FanOuts } from './fan-out.js';
import { MemoryOperator, statsOf } from './operator.js';
import type { MemoryQueue } from './queue.js';
import { MemoryQueues } from './queues.js';
import { memoryRateGrants } from './rate-grants.js';
import { dueOf, StoredMessage } from './stored-message.js';
import { nowPublisher, StoredStates } from './stored-states.js';
import { MemorySubscription } from './subscription.js';

interface MemoryBrokerOptions {
  /** Larger bodies are refused. Bytes. Default: 1 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /** The capacity of queues that are declared without one, in messages; `Infinity` for no limit. Default: 1024. */
  readonly defaultCapacity?: number | undefined;
  /** Receives `ignored` and `queue-paused`. */
  readonly observe?: ((event: BrokerEvent) => void) | undefined;
}

/**
 * A broker in the memory of this process: `local:`. Each one is separate, and its messages are lost when it is closed.
 *
 * A queue's `deliveryLimit` has no effect, since a consumer can't die without its broker; neither has `exclusive`, since
 * no other process can see the queue. Throws `INVALID_OPTION`.
 */
export function openMemoryBroker(options: MemoryBrokerOptions = {}): Backend {
  checkOptionNames('openMemoryBroker', options, ['maxMessageBytes', 'defaultCapacity', 'observe']);
  return new MemoryBroker(
    integerOption('maxMessageBytes', options.maxMessageBytes, { min: 1, default: DEFAULT_MAX_MESSAGE_BYTES }),
    integerOption('defaultCapacity', options.defaultCapacity, { min: 1, infinity: true, default: 1024 }),
    options.observe ?? (() => {}),
  );
}

class MemoryBroker implements Backend {
  readonly url = 'local:';
  readonly outage = undefined;
  readonly counts = NO_LINK_COUNTS;
  readonly maxMessageBytes: number;
  readonly #observe: (event: BrokerEvent) => void;
  readonly #ignored: IgnoredArguments;
  readonly #queues: MemoryQueues;
  readonly #exchanges = new Exchanges<MemoryQueue>();
  readonly #fanOuts = new FanOuts((to) => this.#exchanges.route(to) ?? []);
  readonly #states = new StoredStates();
  /** All subscriptions that are not closed, including cancelled ones. */
  readonly #subscriptions = new Set<MemorySubscription>();
  readonly operator: MemoryOperator;
  readonly takeStarts = memoryRateGrants(() => this.#checkUsable('takeStarts', undefined));
  #state: BrokerState = 'connected';

  constructor(maxMessageBytes: number, defaultCapacity: number, observe: (event: BrokerEvent) => void) {
    this.#observe = observe;
    this.#ignored = new IgnoredArguments(observe);
    this.maxMessageBytes = maxMessageBytes;
    this.#queues = new MemoryQueues({
      exchanges: this.#exchanges,
      fanOuts: this.#fanOuts,
      defaultCapacity,
      isClosed: () => this.#state === 'closed',
    });
    this.operator = new MemoryOperator({
      queues: this.#queues,
      subscriptions: this.#subscriptions,
      checkUsable: (action, options) => this.#checkUsable(action, options),
    });
  }

  get state(): BrokerState {
    return this.#state;
  }

  async declare(spec: QueueSpec, options?: WaitOptions): Promise<void> {
    this.#checkUsable('declare', options);
    this.#queues.declare(spec);
    this.#ignored.report(spec);
  }

  async declareExchange(spec: ExchangeSpec, options?: WaitOptions): Promise<void> {
    this.#checkUsable('declare', options);
    this.#exchanges.declare(spec);
  }

  async removeExchange(exchange: string, options?: WaitOptions): Promise<void> {
    this.#checkUsable('remove', options);
    this.#exchanges.remove(exchange);
    this.#fanOuts.admit();
  }

  publish(to: Destination, message: Message, options?: PublishOptions): Promise<boolean> {
    // Not an async function, whose promise would be a large part of the cost of a publish.
    try {
      this.#checkUsable('publish', options);
      checkPublishing(to, message, this.maxMessageBytes);
      const stored = takeIn(message, to);
      if (to.exchange !== '') return this.#fanOut(to, stored, options);
      const queue = this.#queues.get(to.routingKey);
      if (queue !== undefined)
        return queue.publish(new StoredMessage(stored, 1, false, dueOf(message)), options);
      return unrouted(to, message, false, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #fanOut(to: Destination, message: Message, options: PublishOptions | undefined): Promise<boolean> {
    const queues = this.#exchanges.route(to);
    if (queues === undefined || queues.length === 0)
      return unrouted(to, message, queues !== undefined, options);
    return this.#fanOuts.publish(message, to, queues, options);
  }

  async subscribe(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ): Promise<QueueSubscription> {
    this.#checkUsable('subscribe', options);
    refuseUnknown(options);
    const prefetch = integerOption('prefetch', options.prefetch, { min: 1, max: 65_535, default: 1 });
    const found = this.#queues.named(queue);
    const subscription = new MemorySubscription(found, { ...options, prefetch }, onDelivery);
    this.#subscriptions.add(subscription);
    const forget = () => this.#subscriptions.delete(subscription);
    subscription.ended.then(forget, forget);
    found.join(subscription);
    if (found.paused && !subscription.inspects) this.#observe({ type: 'queue-paused', queue });
    return subscription;
  }

  receiveReplies(listener: ReplyListener): Replies {
    return new ReplyQueue(this, listener);
  }

  async openState(name: string, options: SharedStateOptions, wait?: WaitOptions): Promise<SharedState> {
    this.#checkUsable(`opening '${name}'`, wait);
    const queueNamed = (queue: string) => this.#queues.get(queue);
    const parts = { queueNamed, exchanges: this.#exchanges, fanOuts: this.#fanOuts };
    const publish = nowPublisher(parts, this.maxMessageBytes);
    const ifUsable = () => this.#checkUsable('setting', undefined);
    return new MergedState(this.#states.store(name, publish, ifUsable), options).open();
  }

  async viewState(name: string, wait?: WaitOptions): Promise<SharedStateView> {
    this.#checkUsable(`reading '${name}'`, wait);
    return this.#states.view(name);
  }

  async removeState(name: string, wait?: WaitOptions): Promise<boolean> {
    this.#checkUsable(`removing '${name}'`, wait);
    return this.#states.remove(name);
  }

  async inspect(queue: string, options?: WaitOptions): Promise<QueueStats> {
    checkQueueName(queue);
    this.#checkUsable('inspect', options);
    return statsOf(this.#queues.named(queue), this.#queues);
  }

  async listBindings(queue: string, options?: WaitOptions): Promise<readonly ListedBinding[]> {
    checkQueueName(queue);
    this.#checkUsable('listBindings', options);
    return this.#exchanges.bindingsOf(this.#queues.named(queue));
  }

  async purge(queue: string, options?: WaitOptions): Promise<number> {
    checkQueueName(queue);
    this.#checkUsable('purge', options);
    return this.#queues.named(queue).purge();
  }

  async remove(queue: string, options?: WaitOptions): Promise<void> {
    checkQueueName(queue);
    this.#checkUsable('remove', options);
    const found = this.#queues.named(queue);
    for (const subscription of this.#subscriptions) {
      if (subscription.queue === found) subscription.endByRemoval(queueMissing(queue));
    }
    this.#queues.remove(found, 'was removed');
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    for (const subscription of this.#subscriptions) subscription.endByBroker(closedError());
    this.#fanOuts.end(closedError);
    this.#queues.end(closedError);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkUsable(action: string, options: WaitOptions | undefined): void {
    if (this.#state === 'closed') throw closedError();
    checkWait(action, options);
  }
}
