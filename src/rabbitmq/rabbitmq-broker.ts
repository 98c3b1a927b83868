import type {
  Backend,
  BrokerCounts,
  BrokerState,
  Delivery,
  Destination,
  ExchangeSpec,
  ListedBinding,
  Message,
  Outage,
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
} from '../broker.js';
import { checkQueueName, checkSize, checkWaitOptions, integerOption } from '../common/options.js';
import { CLOSE_LIMIT_MS, RPC_LIMIT_MS, settledWithin, throwIfAborted } from '../common/waiting.js';
import { QueueError } from '../errors.js';
import { parseAddress, type RabbitMqAddress } from './address.js';
import { BrokerConnections } from './connection/broker-connections.js';
import { KeepAlive, type Senders } from './connection/keep-alive.js';
import { DirectReplies } from './consume/direct-replies.js';
import { Republisher } from './consume/republisher.js';
import { removeState, StateQueue, viewState } from './consume/state-queue.js';
import { Subscriptions } from './consume/subscriptions.js';
import { EventCounts } from './event-counts.js';
import { amqpStats } from './operator/amqp-stats.js';
import { Management } from './operator/management.js';
import { RabbitMqOperator } from './operator/operator.js';
import { checkRabbitMqOptions, type RabbitMqOptions, type RabbitMqSettings } from './options.js';
import { PreparedPublisher } from './publish/prepared-publisher.js';
import { Publisher } from './publish/publisher.js';
import { Bindings } from './topology/bindings.js';
import { DeclaredQueues } from './topology/declared-queues.js';
import { DelayedSendLadder } from './topology/delayed-send-ladder.js';
import { Exchanges } from './topology/exchanges.js';
import { QueueDeclarer } from './topology/queue-declarer.js';
import { RetryAndDeadLetterQueues } from './topology/retry-and-dead-letter-queues.js';
import { Topology } from './topology/topology.js';
import { toWire } from './wire/amqp-message.js';

/** How long `close` tries to end everything in order before it closes the connections anyway. */
const FINISH_LIMIT_MS = 4_000;

/** Connects to the first of the addresses that responds. Rejects: `INVALID_OPTION`, `UNREACHABLE`, `ACCESS_REFUSED`. */
export async function openRabbitMqBroker(
  addresses: readonly string[],
  options: RabbitMqOptions,
): Promise<Backend> {
  const settings = checkRabbitMqOptions(options);
  const broker = new RabbitMqBroker(addresses.map(parseAddress), settings);
  await broker.open();
  return broker;
}

class RabbitMqBroker implements Backend {
  readonly maxMessageBytes: number;
  readonly #settings: RabbitMqSettings;
  readonly #counts = new EventCounts();
  readonly #connections: BrokerConnections;
  readonly #exchanges: Exchanges;
  readonly #queues = new DeclaredQueues();
  readonly #retryAndDeadLetterQueues: RetryAndDeadLetterQueues;
  readonly #topology: Topology;
  readonly #delays: DelayedSendLadder;
  readonly #publisher: Publisher;
  readonly #prepared: PreparedPublisher;
  /** For retries and dead letters, which must not wait behind sends that wait for consumers. */
  readonly #movingPublisher: Publisher;
  readonly #subscriptions: Subscriptions;
  readonly #management: Management;
  readonly operator: RabbitMqOperator;
  readonly #keepAlive = new KeepAlive();
  #closing: Promise<void> | undefined;

  constructor(addresses: readonly RabbitMqAddress[], checked: RabbitMqSettings) {
    const settings: RabbitMqSettings = {
      ...checked,
      observe: (event) => {
        this.#counts.add(event);
        checked.observe(event);
      },
    };
    this.#settings = settings;
    this.maxMessageBytes = settings.maxMessageBytes;
    const connections = new BrokerConnections(addresses, settings, (connection) =>
      this.#topology.restore(connection),
    );
    this.#connections = connections;
    const declarer = new QueueDeclarer(() => connections.openSeparate());
    this.#exchanges = new Exchanges(connections.consume);
    this.#retryAndDeadLetterQueues = new RetryAndDeadLetterQueues(
      connections.consume,
      declarer,
      this.#queues,
    );
    this.#delays = new DelayedSendLadder(connections.consume, this.#retryAndDeadLetterQueues, {
      ...settings,
      declarer,
    });
    this.#topology = new Topology(connections.consume, declarer, {
      queues: this.#queues,
      exchanges: this.#exchanges,
      bindings: new Bindings(this.#exchanges),
    });
    this.#publisher = this.#newPublisher(this.#keepAlive.senders);
    this.#prepared = new PreparedPublisher({
      publisher: this.#publisher,
      queues: this.#queues,
      exchanges: this.#exchanges,
      delays: this.#delays,
      onMissing: (exchange) => this.#topology.invalidateExchange(exchange),
    });
    // Its consumers decide whether the process stays alive.
    this.#movingPublisher = this.#newPublisher({ waiting: 0, onChange: undefined });
    const parts = {
      link: connections.consume,
      topology: this.#topology,
      republisher: new Republisher(
        connections.publish,
        this.#movingPublisher,
        this.#queues,
        this.#retryAndDeadLetterQueues,
      ),
      keepAlive: this.#keepAlive,
      observe: settings.observe,
    };
    this.#subscriptions = new Subscriptions(parts, this.#retryAndDeadLetterQueues);
    this.#management = new Management(() => connections.currentAddress, settings);
    this.operator = new RabbitMqOperator({
      broker: this,
      management: this.#management,
      checkUsable: () => this.#throwIfClosed(),
      counts: (queue, wait) => this.#keepAlive.during(this.#inspect(queue, wait)),
    });
    // Neither is of use without the other.
    connections.onEnded(() => void this.close());
  }

  get url(): string {
    return this.#connections.url;
  }

  get state(): BrokerState {
    return this.#closing === undefined ? this.#connections.state : 'closed';
  }

  get outage(): Outage | undefined {
    return this.#connections.outage;
  }

  get counts(): BrokerCounts {
    return this.#counts.now;
  }

  open(): Promise<void> {
    return this.#connections.consume.open();
  }

  async declare(queue: QueueSpec, wait: WaitOptions = {}): Promise<void> {
    this.#check(`declaring '${queue.name}'`, wait);
    await this.#keepAlive.during(this.#topology.declare(queue, wait));
  }

  async declareExchange(exchange: ExchangeSpec, wait: WaitOptions = {}): Promise<void> {
    this.#check(`declaring the exchange '${exchange.name}'`, wait);
    await this.#keepAlive.during(this.#topology.declareExchange(exchange, wait));
  }

  async removeExchange(exchange: string, wait: WaitOptions = {}): Promise<void> {
    this.#check(`removing the exchange '${exchange}'`, wait);
    await this.#keepAlive.during(this.#topology.removeExchange(exchange, wait));
  }

  publish(to: Destination, message: Message, options: PublishOptions = {}): Promise<boolean> {
    try {
      this.#throwIfClosed();
      checkSize(message, this.maxMessageBytes);
      if (message.dueAt !== undefined)
        return this.#keepAlive.during(
          this.#prepared.publishLater(to, message, options, (now) => this.publish(to, now, options)),
        );
      const wire = toWire(
        to,
        message,
        this.#queues.defaultPriorityOf(to),
        message.expiresAt !== undefined && !this.#queues.keepsExpired(to),
      );
      if (to.exchange === '' || this.#exchanges.has(to.exchange))
        return this.#publisher.publish(wire, options);
      return this.#keepAlive.during(this.#prepared.publishFirst(wire, options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async subscribe(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ): Promise<QueueSubscription> {
    this.#check(`subscribing to '${queue}'`, options);
    integerOption('prefetch', options.prefetch, { min: 1, max: 65_535, default: 1 });
    return this.#keepAlive.during(this.#subscriptions.open(queue, options, onDelivery));
  }

  receiveReplies(listener: ReplyListener): Replies {
    return new DirectReplies(this.#connections.publish, listener);
  }

  async openState(name: string, options: SharedStateOptions, wait: WaitOptions = {}): Promise<SharedState> {
    this.#check(`opening '${name}'`, wait);
    return this.#keepAlive.during(new StateQueue(this, name, options).open(wait));
  }

  async viewState(name: string, wait: WaitOptions = {}): Promise<SharedStateView> {
    this.#check(`reading '${name}'`, wait);
    return viewState(this, name, wait);
  }

  removeState(name: string, wait?: WaitOptions): Promise<boolean> {
    return removeState(this, name, wait);
  }

  async inspect(queue: string, wait: WaitOptions = {}): Promise<QueueStats> {
    this.#check(`inspecting '${queue}'`, wait, queue);
    return this.#keepAlive.during(amqpStats(queue, this.#queues.specOf(queue), this.#inspect, wait));
  }

  readonly #inspect = (queue: string, wait: WaitOptions) => this.#topology.inspect(queue, wait);

  async listBindings(queue: string, wait: WaitOptions = {}): Promise<readonly ListedBinding[] | undefined> {
    this.#check(`listing the bindings of '${queue}'`, wait, queue);
    return this.#keepAlive.during(this.#management.listBindings(queue, this.#inspect, wait));
  }

  async purge(queue: string, wait: WaitOptions = {}): Promise<number> {
    this.#check(`purging '${queue}'`, wait, queue);
    return this.#keepAlive.during(this.#topology.purge(queue, wait));
  }

  async remove(queue: string, wait: WaitOptions = {}): Promise<void> {
    this.#check(`removing '${queue}'`, wait, queue);
    await this.#keepAlive.during(this.#topology.remove(queue, wait));
    this.#delays.forget(queue);
  }

  close(): Promise<void> {
    this.#closing ??= this.#keepAlive.during(this.#close()).finally(() => this.#keepAlive.stop());
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await settledWithin(this.#finish(), FINISH_LIMIT_MS);
    await this.#connections.close();
  }

  /** Moved messages are stored before the channels close on which they are acknowledged. */
  async #finish(): Promise<void> {
    await Promise.all([
      this.#subscriptions.cancel(),
      this.#publisher.close(CLOSE_LIMIT_MS),
      this.#movingPublisher.close(CLOSE_LIMIT_MS),
    ]);
    await this.#subscriptions.end();
  }

  #onUnroutable({ exchange, routingKey }: Destination, isDropped: boolean): void {
    this.#topology.onUnroutable(exchange, isDropped);
    if (exchange !== '') return;
    this.#queues.invalidate(routingKey);
    this.#retryAndDeadLetterQueues.invalidate(routingKey);
  }

  /** The check at the start of each operation. */
  #check(action: string, wait: WaitOptions, queue?: string): void {
    this.#throwIfClosed();
    if (queue !== undefined) checkQueueName(queue);
    checkWaitOptions(wait);
    throwIfAborted(wait.signal, action);
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw new QueueError('CLOSED', 'the broker was closed');
  }

  #newPublisher(senders: Senders): Publisher {
    const { maxUnconfirmed, observe } = this.#settings;
    return new Publisher({
      senders,
      link: this.#connections.publish,
      maxUnconfirmed,
      capacityOf: (queue) => this.#queues.capacityOf(queue),
      isHeld: (queue) =>
        this.#queues.isHeld(queue, () => this.#connections.consume.connection?.isOpen === true),
      readyIn: async (queue) => (await this.#topology.inspect(queue, { timeoutMs: RPC_LIMIT_MS })).ready,
      onUnroutable: (to, isDropped) => this.#onUnroutable(to, isDropped),
      onResend: (count) => observe({ type: 'resent', count }),
    });
  }
}
