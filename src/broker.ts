/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The seam between the typed API (producer, consumer) and the backends (local, RabbitMQ).
 *
 * Everything here is about messages as bytes or text; schemas and handlers live above it, sockets and stores
 * below it. Each sentence of this page that promises something is a case of the contract suites in
 * test/contract/, which every backend passes.
 */

/**
 * Where a message is sent, in the terms of AMQP 0-9-1: an exchange and a routing key. The exchange `''` is the
 * default exchange, which routes to the queue that is named like the routing key.
 */
export interface Destination {
  /** `''` for the default exchange. Local brokers have no other. */
  readonly exchange: string;
  /** On the default exchange: the name of the queue. */
  readonly routingKey: string;
}

/** A message on its way out or in. */
export interface Message {
  /** Chosen by the sender; the same on every re-sending of the same message. Consumers dedupe by it. */
  readonly id: string;
  /** A media type, or `''` where the sender gave none. */
  readonly contentType: string;
  /** Names that start with `x-millrace-` belong to the toolkit. */
  readonly headers: Readonly<Record<string, string>>;
  /** Text is kept as text where the backend can; it is UTF-8 on every wire and disk. */
  readonly body: Uint8Array | string;
  /** When the sender made it, in milliseconds since the epoch. RabbitMQ keeps whole seconds. */
  readonly timestamp?: number | undefined;
  /** 0 to 31, the greater first; unset counts as {@link DEFAULT_PRIORITY}. */
  readonly priority?: number | undefined;
  /**
   * How a foreign sender encoded the body, for example `gzip`; the body itself is delivered as it arrived. RabbitMQ
   * passes it on with a message that is sent.
   */
  readonly contentEncoding?: string | undefined;
  /** Which request this belongs to, on a request and on its reply. */
  readonly correlationId?: string | undefined;
  /** The routing key, on the default exchange, under which the sender waits for a reply. */
  readonly replyTo?: string | undefined;
}

/** What a message without a priority counts as: RabbitMQ's own default for quorum queues since 4.3. */
export const DEFAULT_PRIORITY = 4;

/** The highest {@link Message.priority} (RabbitMQ 4.3, quorum queues: 32 levels). */
export const MAX_PRIORITY = 31;

/** Why a message became a dead letter; the first part of what its headers say. */
export type DeadLetterCode =
  /** The handler threw `RejectMessage`. */
  | 'rejected'
  /** The handler failed at each of its attempts. */
  | 'failed'
  /** The bytes do not decode. */
  | 'undecodable'
  /** The value fails the queue's schema. */
  | 'invalid'
  /** The body is over the size limit. */
  | 'too-large'
  /** Delivered more often than the queue's delivery limit without ever being settled. */
  | 'delivery-limit';

/**
 * Why an attempt failed, as kept in the headers of a retried message and of a dead letter. A message whose queue
 * itself delays the retry (see {@link QueueSpec.delayedRetry}) comes again without it.
 */
export interface Failure {
  /** What failed; see {@link DeadLetterCode}. */
  readonly code: DeadLetterCode;
  /** The error's text. */
  readonly error: string;
}

/**
 * One message, handed to one subscriber. It stays the subscriber's until it is settled by exactly one of the
 * four verbs, or until it is lost (see {@link SubscribeOptions.onLost}); a second settlement, and one after the
 * loss, do nothing. A settlement goes to where the delivery came from, never to a later connection.
 */
export interface Delivery {
  /** As its sender published it, with the headers of retries. */
  readonly message: Message;
  /** 1 on the first try; raised by each retry, and by each delivery that died with its process where the backend counts those. */
  readonly attempt: number;
  /** Whether this message may have been handed out before. Unset means: certainly not. */
  readonly redelivered: boolean;
  /**
   * After how many milliseconds without a settlement, from `receivedAt` on, the broker takes the message back; it is
   * lost then. Undefined if there is no such limit or it is unknown: RabbitMQ does not report it, but
   * quorum queues may be declared with one (`x-consumer-timeout`).
   */
  readonly settleWithinMs?: number | undefined;
  /** When it arrived, on the clock of `performance.now()`; set together with `settleWithinMs`. */
  readonly receivedAt?: number | undefined;
  /** Done: the message is removed. */
  ack(): void;
  /**
   * Later: the message comes again after `delayMs` (0: at once) with `attempt` raised, others go on meanwhile.
   * Never waits for room in its own queue. Resolves when that is stored. Should storing it fail, the message goes
   * back to its queue and the promise rejects.
   */
  retry(delayMs: number, failure: Failure): Promise<void>;
  /**
   * Never: the message moves to its queue's dead-letter queue with headers that say why, or is dropped where
   * the queue was declared without one. Resolves when that is stored; waits while the dead-letter queue is
   * full. Should it fail, the message goes back to its queue and the promise rejects.
   */
  deadLetter(failure: Failure): Promise<void>;
  /** Not now: the message goes back to its queue at no cost; `attempt` is not raised. */
  release(): void;
}

/** What bounds a wait. */
export interface WaitOptions {
  /** One that is aborted before the call: nothing is done, `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; `Infinity` (the default at this level): as long as it takes. */
  readonly timeoutMs?: number | undefined;
}

/** How a subscriber takes messages, and what bounds the start of its subscription. */
export interface SubscribeOptions extends WaitOptions {
  /** How many unsettled deliveries this subscriber holds at most: 1 to 65535 (a quorum queue caps it at 2000). */
  readonly prefetch: number;
  /**
   * How many deliveries this subscriber works on at once; those beyond wait with it. A RabbitMQ queue with a single
   * active consumer hands over no more than these, so that nothing waits that the next consumer would have to overtake.
   * Default: `prefetch`.
   */
  readonly concurrency?: number | undefined;
  /**
   * Consumers of a greater priority are handed messages first, as long as they take more. RabbitMQ only
   * (`x-priority`); a local broker refuses it. Default: 0.
   */
  readonly priority?: number | undefined;
  /**
   * What this subscriber gives back is never lost to the queue's delivery limit: before it comes near, the message is
   * put at the end of its queue as one that was never delivered. Only RabbitMQ before 4.3 has need of that, since it
   * counts a return as a failure. For subscribers that inspect messages without handling them. Default: false.
   */
  readonly sparesLimit?: boolean | undefined;
  /**
   * The delivery is no longer this subscriber's, though it is not settled: its link is gone, its time at the
   * broker ran out, or the broker was closed here. The message comes again, to someone. Not called for what the
   * subscription's own `close` gives back. Must not throw.
   */
  readonly onLost?: ((delivery: Delivery, reason: Error) => void) | undefined;
}

/** A running flow of deliveries. It outlives reconnects: the backend subscribes again by itself. */
export interface Subscription {
  /** No further deliveries; those that are out may still be settled. Always resolves. */
  cancel(): Promise<void>;
  /** As `cancel`, and what is unsettled goes back to the queue, marked `redelivered`. Always resolves. */
  close(): Promise<void>;
  /**
   * Resolves when the subscription is closed, by `close` or by the broker's `close`. Rejects when it can't go
   * on: the queue was deleted and is not ours to declare (`QUEUE_MISSING`), the permission was taken
   * (`ACCESS_REFUSED`). Ignoring it causes no unhandled rejection.
   */
  readonly ended: Promise<void>;
  /**
   * From now on the subscription does not keep the process alive. As long as each subscription of a broker is like
   * this, and there is one, its links do not either, except while a publish or a request is under way.
   */
  unref(): void;
  /** Takes `unref` back. */
  ref(): void;
}

/** Receives what happens to the addresses of `receiveReplies`. */
export interface ReplyListener {
  /** A message was published to the address: a reply, perhaps to a request that has ended. Must not throw. */
  onReply(message: Message): void;
  /** Replies to every address that was handed out before are lost from now on. Must not throw. */
  onLost(reason: Error): void;
}

/**
 * Where the answers to requests arrive. Replies are at most once: one to an address that is gone is dropped, or its
 * publish rejects with `UNROUTABLE` (RabbitMQ drops it).
 */
export interface Replies {
  /**
   * The `replyTo` for a request: whoever publishes to it, through the default exchange and from any
   * process on this broker, answers the request. Waits while the broker can't be reached. Another one after `onLost`.
   * Rejects: `CLOSED`, `ACCESS_REFUSED`, `BROKER_ERROR`, `TIMEOUT`.
   */
  replyTo(): Promise<string>;
  /** No further replies, and no `onLost`. Always resolves. */
  close(): Promise<void>;
}

/** What bounds a publish. */
export interface PublishOptions extends WaitOptions {
  /** Do not wait for room: reject with `FULL` where `publish` would have to. Default: false. */
  readonly noWait?: boolean | undefined;
  /**
   * The caller's own limit, where `timeoutMs` is what an earlier step has left of it: `TIMEOUT` names this one.
   * Milliseconds. Default: `timeoutMs`.
   */
  readonly limitMs?: number | undefined;
}

/** How a queue's declaration meets a queue that is there already. */
export type DeclareMode =
  /** Create it, or find it with exactly these properties; otherwise `QUEUE_MISMATCH`. But see {@link QueueSpec.fixed}. */
  | 'match'
  /**
   * Take an existing queue as it is, whatever its properties. Create it where there is none, plainly: with its
   * type and what was asked for by name, without the toolkit's own defaults, so that other programs that share
   * the queue can declare it as they do. Its dead-letter queue is made when it is first needed.
   */
  | 'if-missing'
  /** Take an existing queue as it is; `QUEUE_MISSING` where there is none. Dead letters as with `if-missing`. */
  | 'existing';

/** The nth failure of a message in its queue keeps it there for n times `minMs`, and for `maxMs` at most. */
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
  /** How the declaration meets an existing queue. */
  readonly declare: DeclareMode;
  /** The RabbitMQ queue type; the local backend has one kind, which keeps the promises of both. */
  readonly type: 'quorum' | 'classic';
  /** Whether the queue survives a restart of the broker. The local broker in memory survives nothing. */
  readonly durable: boolean;
  /** For the declaring connection alone, and gone with it. */
  readonly exclusive: boolean;
  /** Deleted when its last subscriber leaves. */
  readonly autoDelete: boolean;
  /**
   * How many messages the queue holds before `publish` waits; undefined: the backend's default. RabbitMQ counts ready
   * ones only. It keeps the limit of quorum queues itself; that of a classic queue, which would drop messages over it at
   * a restart, is kept by each publisher, and several at once may exceed it by what they have on their way.
   */
  readonly capacity: number | undefined;
  /** Where dead letters go; false: they are dropped. */
  readonly deadLetter: { readonly queue: string; readonly capacity: number | undefined } | false;
  /**
   * How often a message may come back unsettled from dead processes before the broker dead-letters it (quorum
   * queues); undefined: as the broker does by itself.
   */
  readonly deliveryLimit: number | undefined;
  /**
   * Lets the queue itself delay failed messages, if the broker supports it and `declare` is `'match'`: a `retry`
   * after just that delay moves nothing then, and a delivery that died with its process comes again after it, too.
   * What waits there is not counted by `inspect`, though `purge` removes it. Elsewhere it has no effect.
   */
  readonly delayedRetry: DelayedRetry | undefined;
  /** The highest priority of a classic queue (`x-max-priority`); quorum and local queues always have them all. */
  readonly maxPriority: number | undefined;
  /**
   * Protects the queue from newer definitions. On disk a changed capacity, delivery limit or dead-letter queue takes effect
   * when it is declared (`redefined`); with this, on either side, it is `QUEUE_MISMATCH` there, too. Default: false.
   */
  readonly fixed?: boolean | undefined;
  /** Further `x-` arguments for RabbitMQ, as they are. The local backend has no use for them. */
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** Effects of settlements and of ending subscriptions may show a moment later. */
export interface QueueStats {
  /** Messages ready to be delivered: neither unsettled nor waiting for a retry. */
  readonly ready: number;
  /** Subscribers; on a quorum queue also cancelled ones with deliveries that are not settled yet. */
  readonly consumers: number;
}

/**
 * `connected`: usable. `connecting`: the link is gone and being sought; sends wait. `blocked`: the broker takes
 * no publishes at present (an alarm); sends wait, deliveries go on. `closed`: by `close()`, or given up.
 */
export type BrokerState = 'connected' | 'connecting' | 'blocked' | 'closed';

/** What happens to a broker, for logs and metrics. The local backend has no links: it has `redefined` alone. */
export type BrokerEvent =
  | { readonly type: 'connected'; readonly link: 'publish' | 'consume'; readonly url: string }
  | {
      readonly type: 'disconnected';
      readonly link: 'publish' | 'consume';
      readonly reason: Error;
      /** Milliseconds until the next try; undefined: there is none. */
      readonly retryInMs: number | undefined;
    }
  | { readonly type: 'blocked'; readonly reason: string }
  | { readonly type: 'unblocked' }
  /** Unconfirmed messages that are being sent again, under their ids, after a reconnect. */
  | { readonly type: 'resent'; readonly count: number }
  /** The broker ended a subscription, or starting it again failed; it is tried again after `retryInMs`. */
  | {
      readonly type: 'unsubscribed';
      readonly queue: string;
      readonly reason: Error;
      readonly retryInMs: number;
    }
  | { readonly type: 'resubscribed'; readonly queue: string }
  /** The queue on disk was there, and a newer definition has changed it: `change` says what, from what, to what. */
  | { readonly type: 'redefined'; readonly queue: string; readonly change: string }
  /** A message became a dead letter without being handled: it can't be read, or came back too often. */
  | {
      readonly type: 'dead-lettered';
      readonly queue: string;
      readonly id: string;
      readonly failure: Failure;
    };

/** How often what happened to a broker's links since it was opened; all 0 on the local backend. The numbers only grow. */
export interface BrokerCounts {
  /** Messages sent again, under their ids, because their link was lost before they were confirmed. */
  readonly resent: number;
  /** `disconnected` events: lost links, and tries to connect again that failed. */
  readonly disconnected: number;
  /** `blocked` events: how often the broker stopped taking publishes. */
  readonly blocked: number;
  /** `unsubscribed` events: subscriptions that the broker ended, and failed attempts to renew them. */
  readonly unsubscribed: number;
  /** `resubscribed` events: subscriptions that were renewed. */
  readonly resubscribed: number;
}

/**
 * A message broker: in this process, on disk, or RabbitMQ. Made by `connect`, and handed to `createProducer`,
 * `createConsumer` and the like, which do the rest.
 */
export interface Broker extends AsyncDisposable {
  /** Where the broker is, without any password: `local:`, `local:/folder` or `amqp://host`. */
  readonly url: string;
  /** Whether messages flow at present; see {@link BrokerState}. */
  readonly state: BrokerState;
  /** A copy: read it again for later numbers. */
  readonly counts: BrokerCounts;
  /** Larger bodies are refused on sending with `TOO_LARGE`, and by consumers on receipt. Bytes. */
  readonly maxMessageBytes: number;

  /** How many messages and consumers a queue has. Rejects with `QUEUE_MISSING` if there is no such queue. */
  inspect(queue: string, options?: WaitOptions): Promise<QueueStats>;

  /** Removes the ready messages and returns how many. Rejects with `QUEUE_MISSING` if there is no such queue. */
  purge(queue: string, options?: WaitOptions): Promise<number>;

  /**
   * Removes a queue with all that it holds. Its dead-letter queue stays. Consumers of it end with `QUEUE_MISSING`, unless
   * it is declared again first. Rejects with `QUEUE_MISSING` if there is no such queue.
   */
  remove(queue: string, options?: WaitOptions): Promise<void>;

  /**
   * Ends everything: sends that wait reject with `CLOSED`, unconfirmed ones are given a moment to be confirmed and
   * else reject with `UNCONFIRMED`, consumers end and what is unsettled goes back to its queue. Always settles, within
   * seconds, whatever the peer does; a second call waits for the same end. Stop consumers first to let their handlers
   * finish. `await using broker = await connect(…)` calls it at the end of the block.
   */
  close(): Promise<void>;
}

/**
 * What a backend implements: a {@link Broker}, and the verbs that producers, consumers and requesters are made of. For
 * authors of backends and of tools between the two, from `millrace/backend`; it may change in any minor version.
 */
export interface Backend extends Broker {
  /**
   * Makes sure that the queue, and its dead-letter queue, are there. Repeating it is cheap. After a reconnect
   * what was declared is declared again. A refused declaration disturbs nothing else.
   * Rejects: `QUEUE_MISMATCH`, `QUEUE_MISSING`, `ACCESS_REFUSED`, `BROKER_ERROR`, `TIMEOUT`, `ABORTED`, `CLOSED`.
   */
  declare(queue: QueueSpec, options?: WaitOptions): Promise<void>;

  /**
   * Resolves when the message is routed to a queue and stored: in memory, flushed to disk, or confirmed by
   * RabbitMQ. Waits while there is no room: the queue is at its capacity, too many messages are unconfirmed,
   * the socket is full, the broker blocks publishers or can't be reached. When the wait is ended by `signal` or
   * `timeoutMs`, `ABORTED` or `TIMEOUT` mean that nothing was stored; `UNCONFIRMED` that it may have been.
   * Rejects: `TOO_LARGE`, `FULL`, `TIMEOUT`, `ABORTED`, `UNROUTABLE`, `REFUSED`, `UNCONFIRMED`, `CLOSED`,
   * `INVALID_MESSAGE` (properties that the backend can't carry), `ACCESS_REFUSED`, `BROKER_ERROR`.
   */
  publish(to: Destination, message: Message, options?: PublishOptions): Promise<void>;

  /**
   * Hands messages of the queue to `onDelivery`, which must not throw, as they come, at most `prefetch`
   * unsettled at a time. Several subscribers of a queue are served in turn.
   * The signal and the time limit bound the beginning of the subscription, not the subscription.
   * Rejects: `QUEUE_MISSING`, `ACCESS_REFUSED`, `BROKER_ERROR`, `TIMEOUT`, `ABORTED`, `CLOSED`.
   */
  subscribe(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ): Promise<Subscription>;

  /** Opens a way for answers, when its address is first asked for. It does not keep the process alive by itself. */
  receiveReplies(listener: ReplyListener): Replies;
}
