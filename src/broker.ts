/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The seam between the typed API (producer, consumer) and the backends (local, RabbitMQ).
 *
 * Everything here is about messages as bytes or text; schemas and handlers live above it, sockets and stores
 * below it. Every promise of the seam has a case in the contract suites in test/contract/, which every backend passes.
 *
 * It has six files: a message (message.ts), a subscriber's deliveries (delivery.ts), the definitions of queues and
 * exchanges (specs.ts), what an operator sees (operator.ts), the state and the events of a broker (broker-events.ts), and
 * the broker itself.
 */
import type { BrokerCounts, BrokerState, Outage } from './broker-events.js';
import type {
  Delivery,
  QueueSubscription,
  StartsGrant,
  StartsRequest,
  SubscribeOptions,
  WaitOptions,
} from './delivery.js';
import type { Destination, Message, Publishing } from './message.js';
import type { Operator, QueueStats } from './operator.js';
import type { ExchangeSpec, ListedBinding, QueueSpec } from './specs.js';

export type * from './broker-events.js';
export type * from './delivery.js';
export * from './message.js';
export type * from './operator.js';
export type * from './specs.js';

/** Callbacks of `receiveReplies`. */
export interface ReplyListener {
  /** Called with each message that is published to the address, even if its request has ended. Must not throw. */
  onReply(message: Message): void;
  /** Called when the addresses returned so far are invalid, and replies to them will be lost. Must not throw. */
  onLost(reason: Error): void;
}

/**
 * Receives the replies to requests. Replies are delivered at most once: a reply to an address that is gone is dropped,
 * or its publish rejects with `UNROUTABLE` (RabbitMQ drops it).
 */
export interface Replies {
  /**
   * The `replyTo` for a request: a message that is published to it through the default exchange, from any process on
   * this broker, answers the request. Waits while the broker can't be reached. Returns a new address after `onLost`.
   * Rejects: `CLOSED`, `ACCESS_REFUSED`, `BROKER_ERROR`, `TIMEOUT`.
   */
  replyTo(): Promise<string>;
  /** Stops all calls of the listener. Always resolves. */
  close(): Promise<void>;
}

/** Limits for a publish, and its criterion of success. */
export interface PublishOptions extends WaitOptions {
  /**
   * Whether a message that no queue takes is an error, `UNROUTABLE`. False: the publish resolves to false. Default: true.
   */
  readonly mandatory?: boolean | undefined;
  /** Reject with `FULL` instead of waiting for room. Default: false. */
  readonly noWait?: boolean | undefined;
  /**
   * The caller's original limit, if earlier steps have used part of it and `timeoutMs` is the rest: `TIMEOUT` quotes
   * this one. Milliseconds. Default: `timeoutMs`.
   */
  readonly limitMs?: number | undefined;
}

/** How a program takes part in a {@link SharedState}. None of its callbacks may throw. */
export interface SharedStateOptions {
  /** The contribution of this program; merged into the stored value. */
  readonly initial: string;
  /**
   * Combines two values. A backend may merge the same values several times and in any order; a merge with a value that
   * another client left there has to return the better one.
   */
  merge(value: string, other: string): string;
  /** This program may set the state from now on, whose value this is. Called again if another program has changed it. */
  onTurn(value: string): void;
  /** It may not from now on: another program may do so. `onTurn` follows when that changes. */
  onLost(reason: Error): void;
}

/** A short text that all programs on a broker share, and one at a time sets. */
export interface SharedState {
  /**
   * Sets the value, and publishes a message with it. Resolves to false if another program was first, or may set the
   * state now; `onTurn` is called with the value before that, or later.
   *
   * A local broker does both in one transaction, or neither. RabbitMQ publishes the message first: if the program dies or
   * is cut off between the two, the message is there and the value is the old one, for the next holder of the state.
   * Never waits for room in a queue. Rejects as `publish` with `noWait` does; then the value is the old one.
   */
  set(value: string, publishing?: Publishing): Promise<boolean>;
  /** Lets others have the state. Always resolves. */
  close(): Promise<void>;
}

/** A snapshot of a {@link SharedState}, available without taking part in it. */
export interface SharedStateView {
  /** The stored values, to be merged; empty if there is no such state, or if only its holder can read it (RabbitMQ). */
  readonly values: readonly string[];
  /** Whether some program may set it now; undefined on local brokers, where all that have it open may. */
  readonly isHeld: boolean | undefined;
}

/**
 * A message broker: in this process, on disk, or RabbitMQ. Created by `connect`, and passed to `createProducer`,
 * `createConsumer` and so on.
 */
export interface Broker extends AsyncDisposable {
  /** The broker's address without its password: `local:`, `local:/folder` or `amqp://host`. */
  readonly url: string;
  /** Whether messages can flow at the moment; see {@link BrokerState}. */
  readonly state: BrokerState;
  /** Why the broker can't be reached at the moment; undefined while it can. Local brokers have no outages. */
  readonly outage: Outage | undefined;
  /** A snapshot; read it again for later counts. */
  readonly counts: BrokerCounts;
  /** Larger bodies are refused on sending with `TOO_LARGE`, and by consumers on receipt. Bytes. */
  readonly maxMessageBytes: number;

  /** How many messages and consumers a queue has. Rejects with `QUEUE_MISSING` if there is no such queue. */
  inspect(queue: string, options?: WaitOptions): Promise<QueueStats>;

  /** Removes the ready messages and returns how many. Rejects with `QUEUE_MISSING` if there is no such queue. */
  purge(queue: string, options?: WaitOptions): Promise<number>;

  /**
   * Removes a queue and its messages. Its dead-letter queue is kept. Other brokers that consume the queue and have declared
   * it declare it again and go on; all other consumers end with `QUEUE_MISSING`, unless it is there again before. Rejects
   * with `QUEUE_MISSING` if there is no such queue.
   */
  remove(queue: string, options?: WaitOptions): Promise<void>;

  /**
   * Closes the broker. Waiting sends reject with `CLOSED`; unconfirmed ones get a moment to be confirmed, then reject
   * with `UNCONFIRMED`; consumers end, and unsettled messages return to their queues. Always settles within seconds,
   * even if the peer does not respond; a second call waits for the first. Stop consumers first to let their handlers
   * finish. `await using broker = await connect(…)` closes the broker at the end of the block.
   */
  close(): Promise<void>;
}

/**
 * The interface of a backend: a {@link Broker}, plus the methods on which producers, consumers and requesters are
 * built. Exported from `millrace/backend` for authors of backends and middleware; it may change in any minor version.
 */
export interface Backend extends Broker {
  /** The operator functions. Every backend of the toolkit has them; others need not. */
  readonly operator?: Operator | undefined;

  /**
   * Ensures that the queue and its dead-letter queue exist, and that the queue is bound to the exchanges its bindings name.
   * Repeated calls are cheap. Declared queues are declared and bound again after a reconnect. A refused declaration
   * affects nothing else. Rejects: `QUEUE_MISMATCH`, `QUEUE_MISSING` (also for an exchange), `INVALID_OPTION` (an exchange
   * that this backend does not support), `ACCESS_REFUSED`, `BROKER_ERROR`, `TIMEOUT`, `ABORTED`, `CLOSED`.
   */
  declare(queue: QueueSpec, options?: WaitOptions): Promise<void>;

  /** Like `declare`, for an exchange. The exchanges of a queue's bindings are declared with the queue. */
  declareExchange(exchange: ExchangeSpec, options?: WaitOptions): Promise<void>;

  /**
   * Removes an exchange and the bindings to it; the queues stay. A queue is bound again when it is next declared. Rejects:
   * `QUEUE_MISSING`, `INVALID_OPTION` (an exchange that belongs to the broker), `ACCESS_REFUSED`, `TIMEOUT`, `ABORTED`,
   * `CLOSED`.
   */
  removeExchange(exchange: string, options?: WaitOptions): Promise<void>;

  /**
   * The bindings of a queue, without the one to the default exchange. Resolves to undefined if they can't be listed:
   * RabbitMQ does so only through its management API, whose address is `managementUrl` in the options of `connect`.
   * Rejects: `QUEUE_MISSING`, `ACCESS_REFUSED`, `UNREACHABLE`, `TIMEOUT`, `ABORTED`, `CLOSED`.
   */
  listBindings(queue: string, options?: WaitOptions): Promise<readonly ListedBinding[] | undefined>;

  /**
   * Resolves when the message is routed, and stored in each queue that it is routed to: in memory, flushed to disk, or
   * confirmed by RabbitMQ. Resolves to true, or to false if no queue takes the message and `mandatory` is false.
   * Waits while there is no room: a queue is at its capacity, too many messages are unconfirmed, the socket is full, the
   * broker blocks publishers or can't be reached. If `signal` or `timeoutMs` ends the wait, `ABORTED` and `TIMEOUT` mean
   * that nothing was stored, `UNCONFIRMED` that the message may have been.
   *
   * A local broker stores a message in all its queues at once, or in none, and waits for room in all of them. RabbitMQ does
   * neither: if one of several queues refuses a message, the others have it. So a refusal behind an exchange is
   * `UNCONFIRMED`, and the message is not sent again automatically.
   *
   * Rejects: `TOO_LARGE`, `FULL`, `TIMEOUT`, `ABORTED`, `UNROUTABLE`, `REFUSED`, `UNCONFIRMED`, `CLOSED`,
   * `INVALID_MESSAGE` (properties that the backend can't carry), `ACCESS_REFUSED`, `BROKER_ERROR`.
   */
  publish(to: Destination, message: Message, options?: PublishOptions): Promise<boolean>;

  /**
   * Passes messages of the queue to `onDelivery`, which must not throw, as they arrive, with at most `prefetch`
   * unsettled at a time. Several subscribers of a queue take turns. The signal and the time limit apply to starting
   * the subscription, not to its lifetime.
   * Rejects: `QUEUE_MISSING`, `ACCESS_REFUSED`, `BROKER_ERROR`, `TIMEOUT`, `ABORTED`, `CLOSED`.
   */
  subscribe(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ): Promise<QueueSubscription>;

  /** Receives replies, from the first call of `replyTo` on. Does not keep the process alive on its own. */
  receiveReplies(listener: ReplyListener): Replies;

  /**
   * Takes part in the state of that name, which is made if it is not there. It outlives the programs that share it, except
   * in memory. Does not keep the process alive on its own. Rejects as `declare` and `subscribe` do.
   */
  openState(name: string, options: SharedStateOptions, wait?: WaitOptions): Promise<SharedState>;

  /**
   * Grants starts of handlers, within a limit that all consumers of the queue share, in every process on this broker. A
   * process that dies keeps none of them for longer than they are valid. Undefined if the broker can't count them:
   * RabbitMQ. Rejects: `STORAGE_ERROR`, `STORAGE_FULL`, `CLOSED`.
   */
  readonly takeStarts?: ((request: StartsRequest) => Promise<StartsGrant>) | undefined;

  /** Reads the state of that name. Rejects as `inspect` does, but not for a missing state. */
  viewState(name: string, wait?: WaitOptions): Promise<SharedStateView>;

  /**
   * Removes the state of that name; resolves to whether there was one. A program that has it open creates it again.
   * Rejects as `remove` does, but not for a state that is missing.
   */
  removeState(name: string, wait?: WaitOptions): Promise<boolean>;
}
