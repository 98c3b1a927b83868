/** A message as the seam carries it: its destination, its content, and the reasons for becoming a dead letter. */

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
  /** A media type, or `''` if the sender gave none. */
  readonly contentType: string;
  /** Names that start with `x-millrace-` belong to the toolkit. */
  readonly headers: MessageHeaders;
  /** Backends keep text as text if they can; on the wire and on disk it is UTF-8. */
  readonly body: Uint8Array | string;
  /** When the sender created the message, in milliseconds since the epoch. RabbitMQ keeps whole seconds. */
  readonly timestamp?: number | undefined;
  /** 0 to 31; higher priorities are delivered first. An unset one counts as {@link DEFAULT_PRIORITY}. */
  readonly priority?: number | undefined;
  /** How the body is encoded, for example `gzip`, as its sender says. The backend delivers the body as it was sent. */
  readonly contentEncoding?: string | undefined;
  /** The kind of message, for receivers that handle several. */
  readonly type?: string | undefined;
  /** The program that sent it, as it calls itself. */
  readonly appId?: string | undefined;
  /** The user who sent it. RabbitMQ refuses a message whose user is not the one logged in. */
  readonly userId?: string | undefined;
  /** False: it need not survive a restart of the broker or a power failure. Default: true. */
  readonly persistent?: boolean | undefined;
  /**
   * When it expires, in milliseconds since the epoch. The time runs on through retries; a dead letter does not expire.
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

/** A message and where it goes. */
export interface Publishing {
  /** Where it is published. */
  readonly to: Destination;
  /** False: it is not an error if no queue takes it. */
  readonly mandatory: boolean;
  /** What is published. */
  readonly message: Message;
}

/** The priority of a message without one: RabbitMQ's default for quorum queues since 4.3. */
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
  /** It expired before it was handled. */
  | 'expired'
  /** The stored message is corrupt. */
  | 'damaged';

/**
 * Why an attempt failed, as kept in the headers of a retried message and of a dead letter. A message whose retry is
 * delayed by the queue itself (`QueueSpec.delayedRetry`) is redelivered without it.
 */
export interface Failure {
  /** The kind of failure; see {@link DeadLetterCode}. */
  readonly code: DeadLetterCode;
  /** The error's text. */
  readonly error: string;
  /** The error's stack, for people to read; undefined if there is none, or none is to be kept. Only its first 4096 bytes count. */
  readonly stack?: string | undefined;
  /** When the attempt failed, in milliseconds since the epoch. Default: when the failure is stored. */
  readonly at?: number | undefined;
}
