/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The seam between the typed API (producer, consumer) and the backends (local, RabbitMQ).
 *
 * Everything here is about messages as bytes or text; schemas and handlers live above it, sockets and stores
 * below it. Every promise on this page has a case in the contract suites in test/contract/, which every
 * backend passes.
 */

/**
 * Where a message is sent, in the terms of AMQP 0-9-1: an exchange and a routing key. The exchange `''` is the
 * default exchange, which routes to the queue whose name is the routing key.
 */
export interface Destination {
  /** `''` for the default exchange. */
  readonly exchange: string;
  /** On the default exchange: the name of the queue. At most 255 bytes. */
  readonly routingKey: string;
}

/**
 * The value of a header. Values keep their types on every backend, through retries, dead letters and replays:
 *
 * - numbers are finite; a `bigint` has 64 bits, and arrives as a number where a number holds it exactly
 * - a `Date` has whole seconds, from 1970 on, as in AMQP 0-9-1: fractions are dropped
 * - bytes arrive as a `Uint8Array`
 * - lists and tables are nested at most 32 levels deep
 */
export type HeaderValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Date
  | Uint8Array
  | readonly HeaderValue[]
  | { readonly [name: string]: HeaderValue };

/** Header values by name. */
export type MessageHeaders = Readonly<Record<string, HeaderValue>>;

/** A message on its way out or in. */
export interface Message {
  /** Chosen by the sender, and kept when the message is sent again. Consumers deduplicate by it. */
  readonly id: string;
  /** A media type, or `''` where the sender gave none. */
  readonly contentType: string;
  /** Names that start with `x-millrace-` belong to the toolkit. */
  readonly headers: MessageHeaders;
  /** Backends keep text as text where they can; on the wire and on disk it is UTF-8. */
  readonly body: Uint8Array | string;
  /** When the sender created the message, in milliseconds since the epoch. RabbitMQ keeps whole seconds. */
  readonly timestamp?: number | undefined;
  /** 0 to 31; higher priorities are delivered first. An unset one counts as {@link DEFAULT_PRIORITY}. */
  readonly priority?: number | undefined;
  /** How the body is encoded, for example `gzip`, as its sender says. The backend delivers the body as it was sent. */
  readonly contentEncoding?: string | undefined;
  /** What kind of message this is, for receivers that handle several. */
  readonly type?: string | undefined;
  /** The program that sent it, as it calls itself. */
  readonly appId?: string | undefined;
  /** The user who sent it. RabbitMQ refuses a message whose user is not the one that is logged in. */
  readonly userId?: string | undefined;
  /** False: it need not survive a restart of the broker or a power failure. Default: true. */
  readonly persistent?: boolean | undefined;
  /**
   * When it becomes worthless, in milliseconds since the epoch. The time goes on through retries; a dead letter has none.
   * Messages that have expired may still be counted and delivered: the subscriber checks.
   */
  readonly expiresAt?: number | undefined;
  /**
   * Until when it waits before it is delivered, in milliseconds since the epoch: set by senders, for messages to a queue
   * (the default exchange); a received message has none. The past: at once. RabbitMQ waits for whole seconds, rounded up.
   */
  readonly dueAt?: number | undefined;
  /** Which request this belongs to, on a request and on its reply. */
  readonly correlationId?: string | undefined;
  /** The routing key, on the default exchange, to which the reply is sent. */
  readonly replyTo?: string | undefined;
  /**
   * Where the message was published, if not to the default exchange. The backend sets it on receipt. Retries and dead
   * letters keep it, and so does a message that is published to a queue with it, as a replay does.
   */
  readonly origin?: Destination | undefined;
}

/** What a message without a priority counts as: RabbitMQ's own default for quorum queues since 4.3. */
export const DEFAULT_PRIORITY = 4;

/** The highest {@link Message.priority} (RabbitMQ 4.3, quorum queues: 32 levels). */
export const MAX_PRIORITY = 31;

/** Why a message became a dead letter, as its headers say. */
export type DeadLetterCode =
  /** The handler threw `RejectMessage`. */
  | 'rejected'
  /** The handler failed at each of its attempts. */
  | 'failed'
  /** The handler threw `Postpone` more often than its consumer allows. */
  | 'postponed'
  /** The bytes do not decode. */
  | 'undecodable'
  /** The value fails the queue's schema. */
  | 'invalid'
  /** The body is over the size limit. */
  | 'too-large'
  /** Delivered more often than the queue's delivery limit allows, and never settled. */
  | 'delivery-limit'
  /** Its time was over before it was handled. */
  | 'expired'
  /** What the disk gave back is not what was stored. */
  | 'damaged';

/**
 * Why an attempt failed, as kept in the headers of a retried message and of a dead letter. A message whose retry is
 * delayed by the queue itself (see {@link QueueSpec.delayedRetry}) is redelivered without it.
 */
export interface Failure {
  /** What failed; see {@link DeadLetterCode}. */
  readonly code: DeadLetterCode;
  /** The error's text. */
  readonly error: string;
}

/**
 * A message that was delivered to one subscriber. The subscriber owns it until one of the five methods settles it, or
 * until it is lost (see {@link SubscribeOptions.onLost}); settling it again, or after it was lost, has no effect. A
 * settlement is sent on the connection that the delivery came from, never on a later one.
 */
export interface Delivery {
  /** The message as it was published, plus the headers that retries add. */
  readonly message: Message;
  /**
   * 1 for the first attempt; incremented by each retry and, if the backend counts them, by each delivery whose process
   * died.
   */
  readonly attempt: number;
  /** Whether this message may have been delivered before; if false, it certainly was not. */
  readonly redelivered: boolean;
  /**
   * How long the broker waits for a settlement, from `receivedAt` on, before it takes the message back; the delivery is
   * then lost. Milliseconds. Undefined if there is no such limit, or if it is unknown: RabbitMQ does not report its
   * default, but quorum queues may be declared with a limit (`x-consumer-timeout`).
   */
  readonly settleWithinMs?: number | undefined;
  /** When it arrived, on the clock of `performance.now()`; set together with `settleWithinMs`. */
  readonly receivedAt?: number | undefined;
  /** Removes the message: it was handled. */
  ack(): void;
  /**
   * Has the message redelivered after `delayMs` (0: at once) with `attempt` incremented; other messages are not held
   * up. Never waits for room in the message's own queue. Resolves when the retry is stored; if storing it fails, the
   * message returns to its queue and the promise rejects.
   */
  retry(delayMs: number, failure: Failure): Promise<void>;
  /**
   * Like `retry`, but not as a failure: `attempt` is not incremented. The message's header `x-millrace-postpones` counts
   * how often this happened.
   */
  postpone(delayMs: number): Promise<void>;
  /**
   * Moves the message to its queue's dead-letter queue, with headers that say why, or drops it if the queue was
   * declared without one. Resolves when the dead letter is stored; waits while the dead-letter queue is full. If
   * storing it fails, the message returns to its queue and the promise rejects.
   */
  deadLetter(failure: Failure): Promise<void>;
  /** Returns the message to its queue at no cost: `attempt` is not incremented. */
  release(): void;
}

/** What bounds a wait. */
export interface WaitOptions {
  /** Ends the wait with `ABORTED`. If it is aborted before the call, nothing is done. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait, in milliseconds; then `TIMEOUT`. Default at this level: `Infinity`. */
  readonly timeoutMs?: number | undefined;
}

/** How a subscriber takes messages, and what bounds the start of its subscription. */
export interface SubscribeOptions extends WaitOptions {
  /** The maximum number of unsettled deliveries of this subscriber: 1 to 65535 (a quorum queue caps it at 2000). */
  readonly prefetch: number;
  /**
   * How many deliveries this subscriber handles at once; further ones wait in its process. A RabbitMQ queue with a
   * single active consumer delivers no more than these, so that the next consumer need not overtake waiting messages.
   * Default: `prefetch`.
   */
  readonly concurrency?: number | undefined;
  /**
   * Subscribers with a higher priority receive messages first, as long as their `prefetch` has room. RabbitMQ only
   * (`x-priority`); local brokers refuse it. Default: 0.
   */
  readonly priority?: number | undefined;
  /**
   * Protects what this subscriber returns from the queue's delivery limit: a message that comes near the limit is put
   * at the end of its queue as if it had never been delivered. This matters only on RabbitMQ before 4.3, which counts
   * a return as a failure. For subscribers that inspect messages without handling them. Default: false.
   */
  readonly sparesLimit?: boolean | undefined;
  /**
   * Delays, in milliseconds, that are kept exactly when a delivery of this subscriber is retried or postponed. On
   * RabbitMQ each distinct delay takes a wait queue that is never removed, so a delay that is not listed here is rounded
   * up to one of about forty. Local brokers keep every delay exactly. Default: none.
   */
  readonly exactDelaysMs?: readonly number[] | undefined;
  /**
   * Called when the subscriber loses an unsettled delivery: its connection was lost, the broker's time limit for it
   * passed, or the broker was closed here. The message will be redelivered, to any subscriber. Not called for
   * deliveries that the subscription's own `close` returns. Must not throw.
   */
  readonly onLost?: ((delivery: Delivery, reason: Error) => void) | undefined;
}

/** A subscription to a queue. It survives reconnects: the backend renews it by itself. */
export interface Subscription {
  /** Stops further deliveries; outstanding ones may still be settled. Always resolves. */
  cancel(): Promise<void>;
  /** As `cancel`, and returns unsettled messages to the queue, marked `redelivered`. Always resolves. */
  close(): Promise<void>;
  /**
   * Resolves when the subscription is closed, by `close` or by the broker's `close`. Rejects when it can't
   * continue: the queue was deleted and this broker may not declare it (`QUEUE_MISSING`), or the permission was
   * withdrawn (`ACCESS_REFUSED`). Ignoring it causes no unhandled rejection.
   */
  readonly ended: Promise<void>;
  /**
   * Stops the subscription from keeping the process alive. If a broker has subscriptions and all of them are
   * unreferenced, its connections do not keep the process alive either, except during a publish or a request.
   */
  unref(): void;
  /** Undoes `unref`. */
  ref(): void;
}

/** Callbacks of `receiveReplies`. */
export interface ReplyListener {
  /** Called with each message that is published to the address, even if its request has ended. Must not throw. */
  onReply(message: Message): void;
  /** Called when the addresses handed out so far are gone, and replies to them will be lost. Must not throw. */
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

/** Limits for a publish, and what counts as success. */
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

/** What a declaration does if the queue, or the exchange, already exists. */
export type DeclareMode =
  /**
   * Create the queue, or accept one with exactly these properties; any other one is a `QUEUE_MISMATCH`. But see
   * {@link QueueSpec.fixed}.
   */
  | 'match'
  /**
   * Use an existing queue as it is, whatever its properties. If there is none, create it with its type and the
   * properties that were set explicitly, without the toolkit's own defaults, so that other programs can declare the
   * same queue in their way. Its dead-letter queue is created when it is first needed.
   */
  | 'if-missing'
  /** Use an existing queue as it is; `QUEUE_MISSING` if there is none. Dead letters as with `if-missing`. */
  | 'existing';

/**
 * How an exchange selects among its bindings. `direct`: those with the message's routing key. `topic`: those whose
 * pattern matches it (words between dots; `*` is one word, `#` any number of words). `fanout`: all of them. `headers`:
 * those whose arguments match the message's headers; RabbitMQ only.
 */
export type ExchangeType = 'direct' | 'fanout' | 'topic' | 'headers';

/** The definition of an exchange. Built by `defineExchange`, which checks the values and fills in the defaults. */
export interface ExchangeSpec {
  /** 1 to 255 bytes of UTF-8. */
  readonly name: string;
  /** What the declaration does if the exchange already exists, as for a queue. */
  readonly declare: DeclareMode;
  /** Has no effect if an existing exchange is used as it is. */
  readonly type: ExchangeType;
  /** Whether the exchange survives a restart of the broker. A broker in memory keeps nothing. */
  readonly durable: boolean;
  /** The exchange that gets messages which match no binding; undefined if there is none. */
  readonly alternate: string | undefined;
}

/** Routes messages from an exchange to a queue. */
export interface Binding {
  /** Declared before the queue is bound to it. */
  readonly exchange: ExchangeSpec;
  /** The key for a `direct` exchange or the pattern for a `topic` exchange; otherwise ignored. At most 255 bytes. */
  readonly routingKey: string;
  /** What a `headers` exchange matches; ignored by other types. */
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** After its nth failure the queue holds a message back for n times `minMs`, but for at most `maxMs`. */
export interface DelayedRetry {
  /** Milliseconds, at least 1. */
  readonly minMs: number;
  /** Milliseconds, at least `minMs`. */
  readonly maxMs: number;
}

/** The definition of a queue. Built by `defineQueue`, which checks the values and fills in the defaults. */
export interface QueueSpec {
  /** 1 to 255 bytes of UTF-8. */
  readonly name: string;
  /** What the declaration does if the queue already exists. */
  readonly declare: DeclareMode;
  /** The RabbitMQ queue type. Local brokers have a single type, which keeps the promises of both. */
  readonly type: 'quorum' | 'classic';
  /** Whether the queue survives a restart of the broker. A broker in memory keeps nothing. */
  readonly durable: boolean;
  /** Usable by the declaring connection only, and deleted with it. */
  readonly exclusive: boolean;
  /** Deleted when its last subscriber leaves. */
  readonly autoDelete: boolean;
  /**
   * How many messages the queue holds before `publish` waits; undefined: the backend's default. RabbitMQ counts ready
   * messages only, and enforces the limit of quorum queues itself. A classic queue would drop messages over its limit
   * at a restart, so each publisher enforces it instead; several may exceed it by what they have in flight.
   */
  readonly capacity: number | undefined;
  /** Where dead letters go; false: they are dropped. */
  readonly deadLetter: { readonly queue: string; readonly capacity: number | undefined } | false;
  /**
   * How often a message may return unsettled from processes that died before the broker dead-letters it (quorum
   * queues); undefined: the broker's default.
   */
  readonly deliveryLimit: number | undefined;
  /**
   * Lets the queue itself delay failed messages, if the broker supports it and `declare` is `'match'`. A `retry` with
   * exactly that delay then moves no message, and a delivery whose process died is redelivered after it, too.
   * `inspect` does not count delayed messages, but `purge` removes them. Elsewhere it has no effect.
   */
  readonly delayedRetry: DelayedRetry | undefined;
  /**
   * Whether a message that expires before it is handled becomes a dead letter (the default) or is dropped. Without a
   * dead-letter queue it is dropped. Local brokers remove it when its time is over, even if that puts the dead-letter
   * queue over its capacity; RabbitMQ removes it when it reaches the head of the queue, if it can do so correctly.
   */
  readonly onExpired?: 'dead-letter' | 'drop' | undefined;
  /** The highest priority of a classic queue (`x-max-priority`); quorum and local queues always have them all. */
  readonly maxPriority: number | undefined;
  /**
   * Protects the queue from changed definitions. On disk a new capacity, delivery limit or dead-letter queue takes
   * effect when it is declared (`redefined`); if either definition is fixed, it is a `QUEUE_MISMATCH`. Default: false.
   */
  readonly fixed?: boolean | undefined;
  /** Further `x-` arguments for RabbitMQ, passed on unchanged. Local brokers ignore them. */
  readonly arguments: Readonly<Record<string, unknown>>;
  /**
   * The bindings of the queue to exchanges other than the default one. They are declared with the queue, also when it
   * was lost and is declared again, and are deleted with it. A message that matches several of them arrives once.
   */
  readonly bindings?: readonly Binding[] | undefined;
  /** Bindings of an earlier definition, which are removed when the queue is declared. */
  readonly unbind?: readonly Binding[] | undefined;
}

/** How many messages and subscribers a queue has. Settlements and cancelled subscriptions may show a moment later. */
export interface QueueStats {
  /** Messages ready to be delivered: neither unsettled nor waiting for a retry. */
  readonly ready: number;
  /** Subscribers; on a quorum queue including cancelled ones that still have unsettled deliveries. */
  readonly consumers: number;
}

/**
 * `connected`: usable. `connecting`: the connection is lost and being re-established; sends wait. `blocked`: the broker
 * accepts no publishes at the moment (a resource alarm); sends wait, deliveries continue. `closed`: by `close()`, or
 * after reconnecting was given up.
 */
export type BrokerState = 'connected' | 'connecting' | 'blocked' | 'closed';

/** Events of a broker, for logs and metrics. Local brokers have no connections and emit only `redefined`. */
export type BrokerEvent =
  | { readonly type: 'connected'; readonly link: 'publish' | 'consume'; readonly url: string }
  | {
      readonly type: 'disconnected';
      readonly link: 'publish' | 'consume';
      readonly reason: Error;
      /** Milliseconds until the next attempt; undefined if there is none. */
      readonly retryInMs: number | undefined;
    }
  | { readonly type: 'blocked'; readonly reason: string }
  | { readonly type: 'unblocked' }
  /** Unconfirmed messages are being sent again, under the same ids, after a reconnect. */
  | { readonly type: 'resent'; readonly count: number }
  /** The broker ended a subscription, or renewing it failed; the next attempt follows after `retryInMs`. */
  | {
      readonly type: 'unsubscribed';
      readonly queue: string;
      readonly reason: Error;
      readonly retryInMs: number;
    }
  | { readonly type: 'resubscribed'; readonly queue: string }
  /** A newer definition changed an existing queue on disk; `change` names the properties, their old and new values. */
  | { readonly type: 'redefined'; readonly queue: string; readonly change: string }
  /** A message became a dead letter without being handled: it can't be read, or was returned too often. */
  | {
      readonly type: 'dead-lettered';
      readonly queue: string;
      readonly id: string;
      readonly failure: Failure;
    };

/** Counts of connection events since the broker was opened; all 0 on local brokers. They never decrease. */
export interface BrokerCounts {
  /** Messages sent again, under the same ids, because their connection was lost before they were confirmed. */
  readonly resent: number;
  /** `disconnected` events: lost connections, and failed attempts to reconnect. */
  readonly disconnected: number;
  /** `blocked` events: how often the broker stopped accepting publishes. */
  readonly blocked: number;
  /** `unsubscribed` events: subscriptions that the broker ended, and failed attempts to renew them. */
  readonly unsubscribed: number;
  /** `resubscribed` events: subscriptions that were renewed. */
  readonly resubscribed: number;
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
  /** A snapshot; read it again for later counts. */
  readonly counts: BrokerCounts;
  /** Larger bodies are refused on sending with `TOO_LARGE`, and by consumers on receipt. Bytes. */
  readonly maxMessageBytes: number;

  /** How many messages and consumers a queue has. Rejects with `QUEUE_MISSING` if there is no such queue. */
  inspect(queue: string, options?: WaitOptions): Promise<QueueStats>;

  /** Removes the ready messages and returns how many. Rejects with `QUEUE_MISSING` if there is no such queue. */
  purge(queue: string, options?: WaitOptions): Promise<number>;

  /**
   * Removes a queue and its messages. Its dead-letter queue is kept. Consumers of the queue end with `QUEUE_MISSING`,
   * unless it is declared again before that. Rejects with `QUEUE_MISSING` if there is no such queue.
   */
  remove(queue: string, options?: WaitOptions): Promise<void>;

  /**
   * Closes the broker. Waiting sends reject with `CLOSED`; unconfirmed ones get a moment to be confirmed, then reject
   * with `UNCONFIRMED`; consumers end, and unsettled messages return to their queues. Always settles within seconds,
   * whatever the peer does; a second call waits for the first. Stop consumers first to let their handlers finish.
   * `await using broker = await connect(…)` closes the broker at the end of the block.
   */
  close(): Promise<void>;
}

/**
 * What a backend implements: a {@link Broker}, plus the methods on which producers, consumers and requesters are built.
 * Exported from `millrace/backend` for authors of backends and middleware; it may change in any minor version.
 */
export interface Backend extends Broker {
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
  ): Promise<Subscription>;

  /** Receives replies, from the first call of `replyTo` on. Does not keep the process alive by itself. */
  receiveReplies(listener: ReplyListener): Replies;
}
