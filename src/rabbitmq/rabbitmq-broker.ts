import type {
  Address,
  Broker,
  BrokerState,
  Delivery,
  Message,
  PublishOptions,
  QueueSpec,
  QueueStats,
  Replies,
  ReplyListener,
  SubscribeOptions,
  Subscription,
  WaitOptions,
} from '../broker.js';
import { isQueueError, QueueError } from '../errors.js';
import { checkSize } from '../message-size.js';
import { integerOption } from '../options.js';
import { parseAddress, type RabbitMqAddress } from './address.js';
import { Connection } from './connection.js';
import { DirectReplies } from './direct-replies.js';
import { KeepAlive } from './keep-alive.js';
import { Link } from './link.js';
import { Mover } from './mover.js';
import { checkRabbitMqOptions, type RabbitMqOptions, type RabbitMqSettings } from './options.js';
import { Publisher } from './publisher.js';
import { RabbitMqSubscription } from './subscription.js';
import { CLOSE_LIMIT_MS, RPC_LIMIT_MS } from './time-limit.js';
import { Topology } from './topology.js';
import { toWire } from './wire.js';

/**
 * Connects to the first of the addresses that answers.
 * Rejects: `INVALID_OPTION`, `UNREACHABLE`, `ACCESS_REFUSED`.
 */
export async function openRabbitMqBroker(
  addresses: readonly string[],
  options: RabbitMqOptions,
): Promise<Broker> {
  const settings = checkRabbitMqOptions(options);
  const broker = new RabbitMqBroker(addresses.map(parseAddress), settings);
  await broker.open();
  return broker;
}

/**
 * Two links, since a broker that blocks publishers blocks their whole connection: one for consumers and all that
 * concerns queues, and one for publishing, which is made at the first publish.
 */
class RabbitMqBroker implements Broker {
  readonly maxMessageBytes: number;
  readonly #addresses: readonly RabbitMqAddress[];
  readonly #settings: RabbitMqSettings;
  readonly #consumeLink: Link;
  readonly #publishLink: Link;
  readonly #topology: Topology;
  readonly #publisher: Publisher;
  /** Those for retries and dead letters: they may not wait behind sends that wait for consumers. */
  readonly #movingPublisher: Publisher;
  readonly #mover: Mover;
  readonly #subscriptions = new Set<RabbitMqSubscription>();
  readonly #keepAlive = new KeepAlive();
  #address: string;
  #closing: Promise<void> | undefined;

  constructor(addresses: readonly RabbitMqAddress[], settings: RabbitMqSettings) {
    this.#addresses = addresses;
    this.#settings = settings;
    this.maxMessageBytes = settings.maxMessageBytes;
    this.#address = addresses[0]?.masked ?? '';
    this.#consumeLink = new Link('consume', addresses, settings, (connection) =>
      this.#topology.restore(connection),
    );
    // What is sent again may be for a queue that has to be declared again.
    this.#publishLink = new Link('publish', addresses, settings, async () => {
      await this.#consumeLink.connected('publishing', {});
    });
    this.#topology = new Topology(this.#consumeLink, () => this.#openThrowAway());
    this.#publisher = this.#newPublisher();
    this.#movingPublisher = this.#newPublisher();
    this.#mover = new Mover(this.#movingPublisher, this.#topology);
    this.#consumeLink.listen({
      onConnected: (connection) => {
        this.#address = connection.address;
      },
      // Given up: without it, nothing works any more.
      onEnded: () => void this.close(),
    });
    this.#publishLink.listen({ onEnded: () => void this.close() });
  }

  get address(): string {
    return this.#address;
  }

  get state(): BrokerState {
    const states = [this.#consumeLink.state, this.#publishLink.state];
    if (this.#closing !== undefined || states.includes('closed')) return 'closed';
    if (states.includes('connecting')) return 'connecting';
    return this.#publishLink.blocked ? 'blocked' : 'connected';
  }

  open(): Promise<void> {
    return this.#consumeLink.open();
  }

  async declare(queue: QueueSpec, wait: WaitOptions = {}): Promise<void> {
    this.#throwIfClosed();
    await this.#keepAlive.during(this.#topology.declare(queue, wait));
  }

  publish(to: Address, message: Message, options: PublishOptions = {}): Promise<void> {
    return this.#keepAlive.during(this.#publish(to, message, options));
  }

  async #publish(to: Address, message: Message, options: PublishOptions): Promise<void> {
    this.#throwIfClosed();
    checkSize(message, this.maxMessageBytes);
    const wire = toWire(to, message, this.#topology.defaultPriorityOf(to));
    try {
      const wait = to.exchange === '' ? options : await this.#findExchange(to.exchange, message, options);
      await this.#publisher.publish(wire, wait);
    } catch (error) {
      // What was there is gone: the next time, it is not relied on.
      if (isQueueError(error, 'UNROUTABLE')) this.#topology.doubt(to);
      throw error;
    }
  }

  /** Resolves to what is left of the time limit. */
  async #findExchange(exchange: string, message: Message, options: PublishOptions): Promise<PublishOptions> {
    if (this.#topology.knowsExchange(exchange)) return options;
    const { timeoutMs = Number.POSITIVE_INFINITY } = options;
    const before = performance.now();
    await this.#topology.findExchange(exchange, `message ${message.id}`, options);
    return { ...options, timeoutMs: Math.max(0, timeoutMs - (performance.now() - before)) };
  }

  async subscribe(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ): Promise<Subscription> {
    this.#throwIfClosed();
    integerOption('prefetch', options.prefetch, { min: 1, max: 65_535, default: 1 });
    const opening = RabbitMqSubscription.open(queue, options, onDelivery, {
      link: this.#consumeLink,
      topology: this.#topology,
      mover: this.#mover,
      keepAlive: this.#keepAlive,
      observe: this.#settings.observe,
    });
    const subscription = await this.#keepAlive.during(opening);
    if (this.#closing !== undefined) {
      await subscription.close();
      this.#throwIfClosed();
    }
    this.#subscriptions.add(subscription);
    subscription.ref();
    const forget = () => {
      this.#subscriptions.delete(subscription);
      this.#keepAlive.delete(subscription);
    };
    subscription.ended.then(forget, forget);
    return subscription;
  }

  receiveReplies(listener: ReplyListener): Replies {
    return new DirectReplies(this.#publishLink, listener);
  }

  async inspect(queue: string, wait: WaitOptions = {}): Promise<QueueStats> {
    this.#throwIfClosed();
    return this.#keepAlive.during(this.#topology.inspect(queue, wait));
  }

  async purge(queue: string, wait: WaitOptions = {}): Promise<number> {
    this.#throwIfClosed();
    return this.#keepAlive.during(this.#topology.purge(queue, wait));
  }

  close(): Promise<void> {
    this.#closing ??= this.#keepAlive.during(this.#close()).finally(() => this.#keepAlive.stop());
    return this.#closing;
  }

  /** From the last to be stored to the first to be told: each step has a time limit of its own. */
  async #close(): Promise<void> {
    const subscriptions = [...this.#subscriptions];
    await Promise.all([
      ...subscriptions.map((subscription) => subscription.cancel()),
      this.#publisher.close(CLOSE_LIMIT_MS),
      this.#movingPublisher.close(CLOSE_LIMIT_MS),
    ]);
    await Promise.all(subscriptions.map((subscription) => subscription.endByBroker()));
    await Promise.all([this.#publishLink.close(), this.#consumeLink.close()]);
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw new QueueError('CLOSED', 'the broker was closed');
  }

  #newPublisher(): Publisher {
    const { maxUnconfirmed, observe } = this.#settings;
    return new Publisher({
      link: this.#publishLink,
      maxUnconfirmed,
      capacityOf: (queue) => this.#topology.capacityOf(queue),
      readyIn: async (queue) => (await this.#topology.inspect(queue, { timeoutMs: RPC_LIMIT_MS })).ready,
      onResend: (count) => observe({ type: 'resent', count }),
    });
  }

  async #openThrowAway(): Promise<Connection> {
    const address = this.#addresses.find(({ masked }) => masked === this.#address) ?? this.#addresses[0];
    if (address === undefined) throw new Error('a broker has at least one address');
    return Connection.open(
      address,
      this.#settings,
      `${this.#settings.connectionName} (declare)`,
      { onBlocked: () => {}, onUnblocked: () => {} },
      { signal: new AbortController().signal, timeoutMs: this.#settings.connectTimeoutMs },
    );
  }
}
