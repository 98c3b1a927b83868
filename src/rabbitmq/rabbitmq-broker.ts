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
import { checkSize } from '../common/message/create-and-check.js';
import { checkQueueName, checkWaitOptions, integerOption } from '../common/options.js';
import { CLOSE_LIMIT_MS, settledWithin, throwIfAborted } from '../common/waiting/waiting.js';
import { QueueError } from '../errors.js';
import { parseAddress, type RabbitMqAddress } from './address.js';
import { BrokerParts } from './broker-parts.js';
import type { BrokerConnections } from './connection/broker-connections.js';
import { KeepAlive } from './connection/keep-alive.js';
import { DirectReplies } from './consume/direct-replies.js';
import { removeState, StateQueue, viewState } from './consume/shared-state.js';
import type { Subscriptions } from './consume/subscriptions.js';
import { EventCounts } from './event-counts.js';
import { amqpStats } from './operator/amqp-stats.js';
import type { Management } from './operator/management.js';
import { RabbitMqOperator } from './operator/operator.js';
import { checkRabbitMqOptions, type RabbitMqOptions, type RabbitMqSettings } from './options.js';
import type { PreparedPublisher } from './publish/prepared-publisher.js';
import type { Publisher } from './publish/publisher.js';
import type { DeclaredQueues } from './topology/declared-queues.js';
import type { DelayedSendLadder } from './topology/delayed-send-ladder.js';
import type { Exchanges } from './topology/exchanges.js';
import type { Topology } from './topology/topology.js';
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
  readonly #counts = new EventCounts();
  readonly #connections: BrokerConnections;
  readonly #exchanges: Exchanges;
  readonly #queues: DeclaredQueues;
  readonly #topology: Topology;
  readonly #delays: DelayedSendLadder;
  readonly #publisher: Publisher;
  readonly #prepared: PreparedPublisher;
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
    this.maxMessageBytes = settings.maxMessageBytes;
    const parts = new BrokerParts(addresses, settings, this.#keepAlive);
    const { connections, management } = parts;
    this.#connections = connections;
    this.#exchanges = parts.exchanges;
    this.#queues = parts.queues;
    this.#topology = parts.topology;
    this.#delays = parts.delays;
    this.#publisher = parts.publisher;
    this.#prepared = parts.prepared;
    this.#movingPublisher = parts.movingPublisher;
    this.#subscriptions = parts.subscriptions;
    this.#management = management;
    this.operator = new RabbitMqOperator({
      broker: this,
      management,
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
}
