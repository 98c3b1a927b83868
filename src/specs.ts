/** The definitions of queues and exchanges, as backends get them: checked, with their defaults. */

/** The behaviour of a declaration if the queue or exchange already exists. */
export type DeclareMode =
  /**
   * Create the queue, or accept one with exactly these properties; any other one is a `QUEUE_MISMATCH`. But see
   * {@link QueueSpec.fixed}.
   */
  | 'match'
  /**
   * Use an existing queue as it is, regardless of its properties. If there is none, create it with its type and the
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
  /** The behaviour if the exchange already exists, as for a queue. */
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
  /** The headers that a `headers` exchange matches; ignored by other types. */
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** A binding of a queue, as its broker lists it. */
export interface ListedBinding {
  /** The name of the exchange. */
  readonly exchange: string;
  /** The key or the pattern of the binding. */
  readonly routingKey: string;
  /** The headers that a `headers` exchange matches. */
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
  /** The behaviour if the queue already exists. */
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
   * at a restart, so each publisher enforces it instead; several may exceed it by the messages they have in flight.
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
   * The bindings of the queue to exchanges other than the default one. They are declared with the queue, even when it
   * was lost and is declared again, and are deleted with it. A message that matches several of them arrives once.
   */
  readonly bindings?: readonly Binding[] | undefined;
  /** Bindings of an earlier definition, which are removed when the queue is declared. */
  readonly unbind?: readonly Binding[] | undefined;
}
