import type {
  Backend,
  BrokerCounts,
  BrokerEvent,
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
  Replies,
  ReplyListener,
  SharedState,
  SharedStateOptions,
  SharedStateView,
  SubscribeOptions,
  Subscription,
  WaitOptions,
} from '../broker.js';
import { CLOSE_LIMIT_MS, RPC_LIMIT_MS, settledWithin, throwIfAborted, within } from '../common/limits.js';
import { checkMessage, refuseDelay } from '../common/message.js';
import { checkQueueName, checkSize, integerOption } from '../common/options.js';
import { isQueueError, QueueError } from '../errors.js';
import { parseAddress, type RabbitMqAddress } from './address.js';
import { Connection } from './connection/connection.js';
import { KeepAlive, type Senders } from './connection/keep-alive.js';
import { ReconnectingConnection } from './connection/reconnecting-connection.js';
import { MAX_REQUEST_CHANNELS } from './connection/request-channels.js';
import { DirectReplies } from './consume/direct-replies.js';
import { HeldState, viewState } from './consume/held-state.js';
import { Republisher } from './consume/republisher.js';
import { Subscriptions } from './consume/subscriptions.js';
import { amqpStats } from './operator/amqp-stats.js';
import { Management } from './operator/management.js';
import { RabbitMqOperator } from './operator/operator.js';
import { checkRabbitMqOptions, type RabbitMqOptions, type RabbitMqSettings } from './options.js';
import { Publisher } from './publish/publisher.js';
import { AuxiliaryQueues } from './topology/auxiliary-queues.js';
import { Bindings } from './topology/bindings.js';
import { DeclaredQueues } from './topology/declared-queues.js';
import { DelayLadder } from './topology/delay-ladder.js';
import { Exchanges } from './topology/exchanges.js';
import { QueueDeclarer } from './topology/queue-declarer.js';
import { Topology } from './topology/topology.js';
import { toWire, type WireMessage } from './wire/amqp-message.js';

/** How long `close` tries to end everything in order before it closes the connections anyway. */
const FINISH_LIMIT_MS = 4_000;

/**
 * Connects to the first of the addresses that answers.
 * Rejects: `INVALID_OPTION`, `UNREACHABLE`, `ACCESS_REFUSED`.
 */
export async function openRabbitMqBroker(
  addresses: readonly string[],
  options: RabbitMqOptions,
): Promise<Backend> {
  const settings = checkRabbitMqOptions(options);
  const broker = new RabbitMqBroker(addresses.map(parseAddress), settings);
  await broker.open();
  return broker;
}

/**
 * Two connections, since a broker that blocks publishers blocks their whole connection: one for consumers and everything
 * about queues, and one for publishing, which is opened at the first publish.
 */
class RabbitMqBroker implements Backend {
  readonly maxMessageBytes: number;
  readonly #addresses: readonly RabbitMqAddress[];
  readonly #settings: RabbitMqSettings;
  readonly #counts = new EventCounts();
  readonly #consumeLink: ReconnectingConnection;
  readonly #publishLink: ReconnectingConnection;
  readonly #exchanges: Exchanges;
  readonly #queues = new DeclaredQueues();
  readonly #auxiliary: AuxiliaryQueues;
  readonly #topology: Topology;
  readonly #delays: DelayLadder;
  readonly #publisher: Publisher;
  /** For retries and dead letters, which must not wait behind sends that wait for consumers. */
  readonly #movingPublisher: Publisher;
  readonly #subscriptions: Subscriptions;
  readonly #management: Management;
  readonly operator: RabbitMqOperator;
  readonly #keepAlive = new KeepAlive();
  #url: string;
  #closing: Promise<void> | undefined;

  constructor(addresses: readonly RabbitMqAddress[], checked: RabbitMqSettings) {
    const settings: RabbitMqSettings = {
      ...checked,
      observe: (event) => {
        this.#counts.add(event);
        checked.observe(event);
      },
    };
    this.#addresses = addresses;
    this.#settings = settings;
    this.maxMessageBytes = settings.maxMessageBytes;
    this.#url = addresses[0]?.masked ?? '';
    this.#consumeLink = new ReconnectingConnection('consume', addresses, settings, (connection) =>
      this.#topology.restore(connection),
    );
    // Messages that are sent again may be for a queue that has to be declared again.
    this.#publishLink = new ReconnectingConnection('publish', addresses, settings, async () => {
      await this.#consumeLink.connected('publishing', {});
    });
    const declarer = new QueueDeclarer(() => this.#openSeparate());
    this.#exchanges = new Exchanges(this.#consumeLink);
    this.#auxiliary = new AuxiliaryQueues(this.#consumeLink, declarer, this.#queues);
    this.#delays = new DelayLadder(this.#consumeLink, this.#auxiliary);
    this.#topology = new Topology(this.#consumeLink, declarer, {
      queues: this.#queues,
      exchanges: this.#exchanges,
      bindings: new Bindings(this.#exchanges),
    });
    this.#publisher = this.#newPublisher(this.#keepAlive.senders);
    // Its consumers keep the process alive, or do not.
    this.#movingPublisher = this.#newPublisher({ waiting: 0, onChange: undefined });
    const parts = {
      link: this.#consumeLink,
      topology: this.#topology,
      republisher: new Republisher(this.#movingPublisher, this.#queues, this.#auxiliary),
      keepAlive: this.#keepAlive,
      observe: settings.observe,
    };
    this.#subscriptions = new Subscriptions(parts, this.#auxiliary);
    this.#management = new Management(() => this.#currentAddress(), settings);
    this.operator = new RabbitMqOperator({
      broker: this,
      management: this.#management,
      checkUsable: () => this.#throwIfClosed(),
      counts: (queue, wait) => this.#keepAlive.during(this.#topology.inspect(queue, wait)),
    });
    this.#consumeLink.listen({
      onConnected: (connection) => {
        this.#url = connection.address;
      },
      // Nothing works without this connection.
      onEnded: () => void this.close(),
    });
    this.#publishLink.listen({ onEnded: () => void this.close() });
  }

  get url(): string {
    return this.#url;
  }

  get state(): BrokerState {
    // The second connection is opened when it is first needed, which is not an outage.
    const states = [this.#consumeLink.state, this.#publishLink.isOpening ? 'idle' : this.#publishLink.state];
    if (this.#closing !== undefined || states.includes('closed')) return 'closed';
    if (states.includes('connecting')) return 'connecting';
    return this.#publishLink.blocked ? 'blocked' : 'connected';
  }

  get outage(): Outage | undefined {
    return this.#consumeLink.outage ?? this.#publishLink.outage;
  }

  get counts(): BrokerCounts {
    return this.#counts.now;
  }

  open(): Promise<void> {
    return this.#consumeLink.open();
  }

  async declare(queue: QueueSpec, wait: WaitOptions = {}): Promise<void> {
    this.#throwIfClosed();
    throwIfAborted(wait.signal, `declaring '${queue.name}'`);
    await this.#keepAlive.during(this.#topology.declare(queue, wait));
  }

  async declareExchange(exchange: ExchangeSpec, wait: WaitOptions = {}): Promise<void> {
    this.#throwIfClosed();
    throwIfAborted(wait.signal, `declaring the exchange '${exchange.name}'`);
    await this.#keepAlive.during(this.#exchanges.declare(exchange, wait));
  }

  publish(to: Destination, message: Message, options: PublishOptions = {}): Promise<boolean> {
    try {
      this.#throwIfClosed();
      checkSize(message, this.maxMessageBytes);
      if (message.dueAt !== undefined)
        return this.#keepAlive.during(this.#publishLater(to, message, options));
      const wire = toWire(
        to,
        message,
        this.#queues.defaultPriorityOf(to),
        message.expiresAt !== undefined && !this.#queues.keepsExpired(to),
      );
      if (to.exchange === '' || this.#exchanges.has(to.exchange))
        return this.#publisher.publish(wire, options);
      return this.#keepAlive.during(this.#publishFirst(wire, options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Resolves when the message is stored in the ladder. Whether its queue exists when it is due can't be known. */
  async #publishLater(to: Destination, message: Message, options: PublishOptions): Promise<boolean> {
    const { timeoutMs = Number.POSITIVE_INFINITY, limitMs = timeoutMs } = options;
    const before = performance.now();
    checkMessage(message);
    refuseDelay(to, message);
    const { dueAt, ...now } = message;
    const seconds = Math.ceil(((dueAt as number) - Date.now()) / 1000);
    if (seconds <= 0) return this.publish(to, now, options);
    const entry = await this.#delays.entry(to.routingKey, seconds, options).catch((error) => {
      if (!isQueueError(error, 'QUEUE_MISSING')) throw error;
      throw new QueueError('UNROUTABLE', `message ${message.id} was not stored: ${error.message}`, {
        cause: error.cause,
      });
    });
    // In the ladder the property `expiration` would end the wait. The expiry is in the headers, too.
    const wire = toWire(entry, now, this.#queues.defaultPriorityOf(to), false);
    const left = Math.max(0, timeoutMs - (performance.now() - before));
    const limits = { ...options, timeoutMs: left, limitMs };
    try {
      return await this.#publisher.publish(wire, limits);
    } catch (error) {
      if (isQueueError(error, 'UNROUTABLE')) this.#delays.invalidate();
      throw error;
    }
  }

  /** Publishes the first message to an exchange. */
  async #publishFirst(wire: WireMessage, options: PublishOptions): Promise<boolean> {
    const { timeoutMs = Number.POSITIVE_INFINITY, limitMs = timeoutMs } = options;
    const before = performance.now();
    try {
      await this.#exchanges.find(wire.exchange, `message ${wire.id}`, options);
    } catch (error) {
      if (options.mandatory === false && isQueueError(error, 'UNROUTABLE')) return false;
      throw error;
    }
    const left = Math.max(0, timeoutMs - (performance.now() - before));
    return this.#publisher.publish(wire, { ...options, timeoutMs: left, limitMs });
  }

  async subscribe(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ): Promise<Subscription> {
    this.#throwIfClosed();
    throwIfAborted(options.signal, `subscribing to '${queue}'`);
    integerOption('prefetch', options.prefetch, { min: 1, max: 65_535, default: 1 });
    return this.#keepAlive.during(this.#subscriptions.open(queue, options, onDelivery));
  }

  receiveReplies(listener: ReplyListener): Replies {
    return new DirectReplies(this.#publishLink, listener);
  }

  async openState(name: string, options: SharedStateOptions, wait: WaitOptions = {}): Promise<SharedState> {
    this.#throwIfClosed();
    throwIfAborted(wait.signal, `opening '${name}'`);
    return this.#keepAlive.during(new HeldState(this, name, options).open(wait));
  }

  async viewState(name: string, wait: WaitOptions = {}): Promise<SharedStateView> {
    this.#throwIfClosed();
    throwIfAborted(wait.signal, `reading '${name}'`);
    return viewState(this, name, wait);
  }

  async inspect(queue: string, wait: WaitOptions = {}): Promise<QueueStats> {
    this.#throwIfClosed();
    checkQueueName(queue);
    throwIfAborted(wait.signal, `inspecting '${queue}'`);
    const inspect = (name: string, limits: WaitOptions) => this.#topology.inspect(name, limits);
    return this.#keepAlive.during(amqpStats(queue, this.#queues.specOf(queue), inspect, wait));
  }

  async listBindings(queue: string, wait: WaitOptions = {}): Promise<readonly ListedBinding[] | undefined> {
    this.#throwIfClosed();
    checkQueueName(queue);
    throwIfAborted(wait.signal, `listing the bindings of '${queue}'`);
    return this.#keepAlive.during(this.#listBindings(queue, wait));
  }

  async #listBindings(queue: string, wait: WaitOptions): Promise<readonly ListedBinding[] | undefined> {
    const listed = await within(
      this.#management.bindings(queue, wait),
      `listing the bindings of '${queue}'`,
      { ...wait, timeoutMs: wait.timeoutMs ?? RPC_LIMIT_MS },
    );
    // Checks that the queue exists, which the API does not say.
    if (listed?.length === 0) await this.#topology.inspect(queue, wait);
    return listed;
  }

  async purge(queue: string, wait: WaitOptions = {}): Promise<number> {
    this.#throwIfClosed();
    checkQueueName(queue);
    throwIfAborted(wait.signal, `purging '${queue}'`);
    return this.#keepAlive.during(this.#topology.purge(queue, wait));
  }

  async remove(queue: string, wait: WaitOptions = {}): Promise<void> {
    this.#throwIfClosed();
    checkQueueName(queue);
    throwIfAborted(wait.signal, `removing '${queue}'`);
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
    await Promise.all([this.#publishLink.close(), this.#consumeLink.close()]);
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

  #onUnroutable({ exchange, routingKey }: Destination): void {
    this.#exchanges.invalidate(exchange);
    if (exchange !== '') return;
    this.#queues.invalidate(routingKey);
    this.#auxiliary.invalidate(routingKey);
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw new QueueError('CLOSED', 'the broker was closed');
  }

  #newPublisher(senders: Senders): Publisher {
    const { maxUnconfirmed, observe } = this.#settings;
    return new Publisher({
      senders,
      link: this.#publishLink,
      maxUnconfirmed,
      capacityOf: (queue) => this.#queues.capacityOf(queue),
      isHeld: (queue) => this.#queues.isHeld(queue, () => this.#consumeLink.connection?.isOpen === true),
      readyIn: async (queue) => (await this.#topology.inspect(queue, { timeoutMs: RPC_LIMIT_MS })).ready,
      onUnroutable: (to) => this.#onUnroutable(to),
      onResend: (count) => observe({ type: 'resent', count }),
    });
  }

  #currentAddress(): RabbitMqAddress {
    const address = this.#addresses.find(({ masked }) => masked === this.#url) ?? this.#addresses[0];
    if (address === undefined) throw new Error('a broker has at least one address');
    return address;
  }

  async #openSeparate(): Promise<Connection> {
    return Connection.open(
      this.#currentAddress(),
      this.#settings,
      `${this.#settings.connectionName} (declare)`,
      { onBlocked: () => {}, onUnblocked: () => {} },
      {
        signal: new AbortController().signal,
        timeoutMs: this.#settings.connectTimeoutMs,
        maxRequestChannels: MAX_REQUEST_CHANNELS,
      },
    );
  }
}

/** Counts a broker's events on their way to its observer. */
class EventCounts {
  readonly #counts = { resent: 0, disconnected: 0, blocked: 0, unsubscribed: 0, resubscribed: 0 };

  get now(): BrokerCounts {
    return { ...this.#counts };
  }

  add(event: BrokerEvent): void {
    if (event.type === 'resent') this.#counts.resent += event.count;
    else if (event.type in this.#counts) this.#counts[event.type as keyof BrokerCounts]++;
  }
}
