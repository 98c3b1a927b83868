import type { Destination } from '../broker.js';
import { RPC_LIMIT_MS } from '../common/waiting/waiting.js';
import type { RabbitMqAddress } from './address.js';
import { BrokerConnections } from './connection/broker-connections.js';
import type { KeepAlive, Senders } from './connection/keep-alive.js';
import { Republisher } from './consume/republisher.js';
import { Subscriptions } from './consume/subscriptions.js';
import { Management } from './operator/management.js';
import { ManagementClient } from './operator/management-client.js';
import type { RabbitMqSettings } from './options.js';
import { PreparedPublisher } from './publish/prepared-publisher.js';
import { Publisher } from './publish/publisher.js';
import { Bindings } from './topology/bindings.js';
import { DeclaredQueues } from './topology/declared-queues.js';
import { DelayedSendLadder } from './topology/delayed-send-ladder.js';
import { Exchanges } from './topology/exchanges.js';
import { QueueDeclarer } from './topology/queue-declarer.js';
import { RetryAndDeadLetterQueues } from './topology/retry-and-dead-letter-queues.js';
import { Topology } from './topology/topology.js';

/** The parts of a broker, each connected with those that it needs. */
export class BrokerParts {
  readonly connections: BrokerConnections;
  readonly queues: DeclaredQueues;
  readonly exchanges: Exchanges;
  readonly topology: Topology;
  readonly delays: DelayedSendLadder;
  readonly publisher: Publisher;
  readonly prepared: PreparedPublisher;
  /** For retries and dead letters, which must not wait behind sends that wait for consumers. */
  readonly movingPublisher: Publisher;
  readonly subscriptions: Subscriptions;
  readonly management: Management;
  readonly #settings: RabbitMqSettings;
  readonly #retryAndDeadLetterQueues: RetryAndDeadLetterQueues;

  constructor(addresses: readonly RabbitMqAddress[], settings: RabbitMqSettings, keepAlive: KeepAlive) {
    this.#settings = settings;
    const connections = new BrokerConnections(addresses, settings, (connection) =>
      this.topology.lost.restoreAll(connection),
    );
    this.connections = connections;
    const { consume } = connections;
    this.queues = new DeclaredQueues(() => consume.connection?.isOpen === true);
    const declarer = new QueueDeclarer(connections.separate);
    this.exchanges = new Exchanges(consume);
    this.#retryAndDeadLetterQueues = new RetryAndDeadLetterQueues(consume, declarer, this.queues);
    this.delays = new DelayedSendLadder(consume, this.#retryAndDeadLetterQueues, { ...settings, declarer });
    this.topology = new Topology(consume, declarer, {
      queues: this.queues,
      exchanges: this.exchanges,
      bindings: new Bindings(this.exchanges),
    });
    this.publisher = this.#newPublisher(keepAlive.senders);
    this.prepared = new PreparedPublisher({
      publisher: this.publisher,
      queues: this.queues,
      exchanges: this.exchanges,
      delays: this.delays,
      onMissing: (exchange) => this.topology.invalidateExchange(exchange),
    });
    // Its consumers decide whether the process stays alive.
    this.movingPublisher = this.#newPublisher({ waiting: 0, onChange: undefined });
    const republisher = new Republisher(
      connections.publish,
      this.movingPublisher,
      this.queues,
      this.#retryAndDeadLetterQueues,
    );
    const { topology } = this;
    const { observe } = settings;
    const parts = { link: consume, topology, republisher, keepAlive, observe };
    this.subscriptions = new Subscriptions(parts, this.#retryAndDeadLetterQueues);
    this.management = new Management(new ManagementClient(() => connections.currentAddress, settings));
  }

  #newPublisher(senders: Senders): Publisher {
    const { maxUnconfirmed, observe } = this.#settings;
    const { queues } = this;
    return new Publisher({
      senders,
      link: this.connections.publish,
      maxUnconfirmed,
      capacityOf: queues.capacityOf.bind(queues),
      isHeld: queues.isHeld.bind(queues),
      readyIn: async (queue) => (await this.topology.inspect(queue, { timeoutMs: RPC_LIMIT_MS })).ready,
      onUnroutable: (to, isDropped) => this.#onUnroutable(to, isDropped),
      onResend: (count) => observe({ type: 'resent', count }),
    });
  }

  #onUnroutable({ exchange, routingKey }: Destination, isDropped: boolean): void {
    this.topology.onUnroutable(exchange, isDropped);
    if (exchange !== '') return;
    this.queues.invalidate(routingKey);
    this.#retryAndDeadLetterQueues.invalidate(routingKey);
  }
}
