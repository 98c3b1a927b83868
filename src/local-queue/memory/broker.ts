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
import { refuseDelay } from '../../common/message.js';
import {
  checkOptionNames,
  checkQueueName,
  checkSize,
  DEFAULT_MAX_MESSAGE_BYTES,
  integerOption,
} from '../../common/options.js';
import { deadLetterSpecOf } from '../../common/queue-spec.js';
import { ReplyQueue } from '../../common/reply-queue.js';
import { QueueError } from '../../errors.js';
import { bindingName, Exchanges } from '../exchanges.js';
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
import { checkMatches } from '../queue-mismatch.js';
import { LocalSharedState } from '../shared-state.js';
import { FanOuts } from './fan-out.js';
import { MemoryOperator, statsOf } from './operator.js';
import { MemoryQueue } from './queue.js';
import { memorySharedRates } from './shared-rates.js';
import { MemorySharedStates, nowPublisher } from './shared-states.js';
import { dueOf, StoredMessage } from './stored-message.js';
import { MemorySubscription } from './subscription.js';

interface MemoryBrokerOptions {
  /** Larger bodies are refused. Bytes. Default: 1 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /** The capacity of queues that are declared without one, in messages; `Infinity` for no limit. Default: 1024. */
  readonly defaultCapacity?: number | undefined;
  /** Receives `ignored`. */
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
  readonly #defaultCapacity: number;
  readonly #ignored: IgnoredArguments;
  readonly #queues = new Map<string, MemoryQueue>();
  readonly #exchanges = new Exchanges<MemoryQueue>();
  readonly #fanOuts = new FanOuts((to) => this.#exchanges.route(to) ?? []);
  readonly #states = new MemorySharedStates();
  /** All subscriptions that are not closed, including cancelled ones. */
  readonly #subscriptions = new Set<MemorySubscription>();
  readonly operator = new MemoryOperator({
    queues: this.#queues,
    subscriptions: this.#subscriptions,
    checkUsable: (action, options) => this.#checkUsable(action, options),
  });
  readonly takeStarts = memorySharedRates(() => this.#checkUsable('takeStarts', undefined));
  #state: BrokerState = 'connected';

  constructor(maxMessageBytes: number, defaultCapacity: number, observe: (event: BrokerEvent) => void) {
    this.#ignored = new IgnoredArguments(observe);
    this.maxMessageBytes = maxMessageBytes;
    this.#defaultCapacity = defaultCapacity;
  }

  get state(): BrokerState {
    return this.#state;
  }

  async declare(spec: QueueSpec, options?: WaitOptions): Promise<void> {
    this.#checkUsable('declare', options);
    const existing = this.#queues.get(spec.name);
    if (existing === undefined && spec.declare === 'existing') throw queueMissing(spec.name);
    const deadLetterSpec = deadLetterSpecOf(spec);
    // Both are checked before either is created, so that a refused declaration leaves nothing behind.
    if (spec.declare === 'match') {
      this.#checkMatches(spec);
      if (deadLetterSpec !== undefined) this.#checkMatches(deadLetterSpec);
    }
    for (const { exchange } of spec.bindings ?? []) this.#exchanges.check(exchange);
    this.#ignored.report(spec);
    const queue = existing ?? this.#create(spec, this.#defaultCapacity);
    if (spec.declare === 'match') queue.onExpired = spec.onExpired;
    this.#bind(queue, spec);
    if (deadLetterSpec === undefined) return;
    const deadLetterQueue =
      this.#queues.get(deadLetterSpec.name) ?? this.#create(deadLetterSpec, Number.POSITIVE_INFINITY);
    // Also for a queue that is used as it is and has none: an additional queue is better than dropped messages.
    if (queue.deadLetterQueue === undefined || queue.deadLetterQueue.ended) {
      queue.deadLetterQueue = deadLetterQueue;
    }
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
      checkSize(message, this.maxMessageBytes);
      refuseDelay(to, message);
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
    const found = this.#queue(queue);
    const subscription = new MemorySubscription(found, { ...options, prefetch }, onDelivery);
    this.#subscriptions.add(subscription);
    const forget = () => this.#subscriptions.delete(subscription);
    subscription.ended.then(forget, forget);
    found.join(subscription);
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
    return new LocalSharedState(this.#states.store(name, publish, ifUsable), options).open();
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
    return statsOf(this.#queue(queue));
  }

  async listBindings(queue: string, options?: WaitOptions): Promise<readonly ListedBinding[]> {
    checkQueueName(queue);
    this.#checkUsable('listBindings', options);
    return this.#exchanges.bindingsOf(this.#queue(queue));
  }

  async purge(queue: string, options?: WaitOptions): Promise<number> {
    checkQueueName(queue);
    this.#checkUsable('purge', options);
    return this.#queue(queue).purge();
  }

  async remove(queue: string, options?: WaitOptions): Promise<void> {
    checkQueueName(queue);
    this.#checkUsable('remove', options);
    const found = this.#queue(queue);
    for (const subscription of this.#subscriptions) {
      if (subscription.queue === found) subscription.endByRemoval(queueMissing(queue));
    }
    this.#delete(found, 'was removed');
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    for (const subscription of this.#subscriptions) subscription.endByBroker(closedError());
    this.#fanOuts.end(closedError);
    for (const queue of this.#queues.values()) queue.end(closedError);
    this.#queues.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #checkUsable(action: string, options: WaitOptions | undefined): void {
    if (this.#state === 'closed') throw closedError();
    checkWait(action, options);
  }

  #queue(name: string): MemoryQueue {
    const queue = this.#queues.get(name);
    if (queue === undefined) throw queueMissing(name);
    return queue;
  }

  #create(spec: QueueSpec, defaultCapacity: number): MemoryQueue {
    const queue = new MemoryQueue(spec, defaultCapacity, {
      onAbandoned: (abandoned) => {
        if (spec.autoDelete && this.#state === 'connected')
          this.#delete(abandoned, 'was deleted when its last subscriber left');
      },
      onRoom: () => this.#fanOuts.admit(),
    });
    this.#queues.set(spec.name, queue);
    return queue;
  }

  #delete(queue: MemoryQueue, how: string): void {
    this.#queues.delete(queue.name);
    this.#exchanges.forgetQueue(queue);
    queue.end(() => new QueueError('UNROUTABLE', `the queue '${queue.name}' ${how}`));
  }

  #bind(queue: MemoryQueue, { bindings = [], unbind = [] }: QueueSpec): void {
    let hasUnbound = false;
    for (const binding of unbind)
      hasUnbound = this.#exchanges.unbind(queue, bindingName(binding)) || hasUnbound;
    for (const binding of bindings) {
      this.#exchanges.declare(binding.exchange);
      this.#exchanges.bind(queue, bindingName(binding));
    }
    // What waited for room in this queue may need it no more.
    if (hasUnbound) this.#fanOuts.admit();
  }

  #checkMatches(spec: QueueSpec): void {
    const existing = this.#queues.get(spec.name);
    if (existing !== undefined) checkMatches(spec, existing);
  }
}
