/** The definition of a queue: the options of `defineQueue`, checked and completed. */
import type { DeclareMode, DelayedRetry, QueueSpec } from '../../broker.js';
import { QueueError } from '../../errors.js';
import type { Codec } from '../encoding/codec.js';
import type { Compression } from '../encoding/content-encoding.js';
import {
  booleanOption,
  checkOptionNames,
  integerOption,
  invalidOption,
  MAX_DELAY_MS,
  wordOption,
} from '../options.js';
import { type BindingOptions, bindingsOption, checkNotReserved, checkUnbind } from './exchange-spec.js';

/** Options of {@link defineQueue}. All have defaults. */
export interface QueueOptions<In = unknown> {
  /**
   * How values are encoded: `'json'` (default); `'structured'`, JSON that also carries `Date`, `Map`, `Set`,
   * `Uint8Array`, `bigint`, `undefined`, `NaN` and the like; `'text'` for strings; `'bytes'` for `Uint8Array`; or a codec
   * of your own.
   */
  readonly codec?:
    | 'json'
    | 'structured'
    | ([In] extends [string] ? 'text' : never)
    | ([In] extends [Uint8Array] ? 'bytes' : never)
    | Codec
    | undefined;
  /** The behaviour if the queue exists already. Default: `'match'`. */
  readonly declare?: DeclareMode | undefined;
  /**
   * Compresses the bodies of messages that are sent, if that makes them smaller: `'gzip'`, `'deflate'`, `'br'`, or
   * `'zstd'` from Node.js 22.15 on. It takes 5 to 20 ms a MiB. Every receiver decompresses all of these. Default: no
   * compression.
   */
  readonly compress?: Compression | undefined;
  /** The RabbitMQ queue type. Default: `'quorum'`, replicated and durable. */
  readonly type?: 'quorum' | 'classic' | undefined;
  /**
   * Whether the queue survives a restart of RabbitMQ. Default: true. `false` needs `type: 'classic'`; RabbitMQ
   * 4.3 and later refuse it unless the queue is also `exclusive`.
   */
  readonly durable?: boolean | undefined;
  /** Used by this connection only, and deleted with it. Default: false. `true` needs `type: 'classic'`. */
  readonly exclusive?: boolean | undefined;
  /** Deleted when its last consumer leaves. Default: false. `true` needs `type: 'classic'`. */
  readonly autoDelete?: boolean | undefined;
  /**
   * How many messages the queue holds before `send` waits (back-pressure). Default: 1024 on the local broker in memory, no
   * limit elsewhere. `Infinity`: no limit. For quorum queues it becomes `x-max-length` with `x-overflow: reject-publish`. A
   * classic queue with such a limit drops messages when the broker restarts, so each sender enforces it instead, and
   * several senders may exceed it a little.
   */
  readonly capacity?: number | undefined;
  /**
   * Where dead letters go. Default: true, the queue `<name>.dead`. A string names another queue; false drops
   * them. The dead-letter queue's `capacity` has no limit unless set; while it is full, the consumer waits.
   */
  readonly deadLetter?:
    | boolean
    | string
    | { readonly queue?: string | undefined; readonly capacity?: number | undefined }
    | undefined;
  /**
   * How often a message may return unsettled, because its process died, before it becomes a dead letter. `Infinity`: no
   * limit. On RabbitMQ for quorum queues only. Default: 20, as in RabbitMQ since 4.0; with `declare: 'if-missing'` the
   * broker's default.
   */
  readonly deliveryLimit?: number | undefined;
  /**
   * What happens to a message that expires (`expiresInMs`) before it is handled: it becomes a dead letter with the reason
   * `expired`, or is dropped (always without a dead-letter queue). Default: `'dead-letter'`.
   */
  readonly onExpired?: 'dead-letter' | 'drop' | undefined;
  /**
   * Lets a quorum queue of RabbitMQ 4.3 or later delay retries itself, without a wait queue for each delay: after its nth
   * failure a message stays in its queue for n times `minMs`, at most `maxMs` (milliseconds; default `minMs`). The default
   * delays of consumers are then 1, 2 and 3 times `minMs`. A retry after any other delay uses a wait queue, and so do all
   * retries on classic queues, on older servers, and if the queue existed before without it. Needs `declare: 'match'`.
   *
   * Such a retry needs no publish, and the message is redelivered unchanged: a dead letter carries only its last error, also
   * as its first one. A message whose process died is delayed, too. Half of the `deliveryLimit` is reserved for such
   * deaths: further retries use a wait queue. https://www.rabbitmq.com/docs/quorum-queues#delayed-retry
   */
  readonly delayedRetry?: { readonly minMs: number; readonly maxMs?: number | undefined } | undefined;
  /** Makes a classic RabbitMQ queue a priority queue (`x-max-priority`), 1 to 31. Other queues always have priorities. */
  readonly maxPriority?: number | undefined;
  /** Further RabbitMQ arguments, passed on unchanged: `{ 'x-single-active-consumer': true }`. */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
  /** The exchanges from which the queue receives messages, in addition to those sent to it by name. Default: none. */
  readonly bindings?: readonly BindingOptions[] | undefined;
  /** Bindings of an earlier definition, which are removed when the queue is declared. Default: none. */
  readonly unbind?: readonly BindingOptions[] | undefined;
}

const OPTION_NAMES: readonly (keyof QueueOptions)[] = [
  'codec',
  'declare',
  'compress',
  'type',
  'durable',
  'exclusive',
  'autoDelete',
  'capacity',
  'deadLetter',
  'deliveryLimit',
  'delayedRetry',
  'onExpired',
  'maxPriority',
  'arguments',
  'bindings',
  'unbind',
];

/** Throws `INVALID_OPTION`. */
export function queueSpec(name: string, options: QueueOptions = {}): QueueSpec {
  checkOptionNames('defineQueue', options, OPTION_NAMES);
  const declare = wordOption('declare', options.declare, ['match', 'if-missing', 'existing'], 'match');
  checkDefinedName('name', name, declare);
  const type = wordOption('type', options.type, ['quorum', 'classic'], 'quorum');
  const durable = booleanOption('durable', options.durable, true);
  const exclusive = booleanOption('exclusive', options.exclusive, false);
  const autoDelete = booleanOption('autoDelete', options.autoDelete, false);
  if (type === 'quorum' && (!durable || exclusive || autoDelete)) {
    throw new QueueError(
      'INVALID_OPTION',
      `the queue '${name}' is a quorum queue: durable, shared and permanent; durable: false, exclusive and autoDelete need type: 'classic'`,
    );
  }
  if (options.maxPriority !== undefined && type === 'quorum') {
    throw new QueueError(
      'INVALID_OPTION',
      `maxPriority applies only to type: 'classic'; the quorum queue '${name}' always has priorities`,
    );
  }
  const bindings = bindingsOption('bindings', options.bindings);
  const unbind = bindingsOption('unbind', options.unbind);
  checkUnbind(bindings, unbind);
  return {
    name,
    declare,
    type,
    durable,
    exclusive,
    autoDelete,
    capacity: capacityOption('capacity', options.capacity),
    deadLetter: toDeadLetter(name, options.deadLetter),
    deliveryLimit:
      options.deliveryLimit === undefined && declare !== 'match'
        ? undefined
        : integerOption('deliveryLimit', options.deliveryLimit, { min: 1, infinity: true, default: 20 }),
    delayedRetry: toDelayedRetry(options.delayedRetry),
    onExpired: wordOption<'dead-letter' | 'drop'>(
      'onExpired',
      options.onExpired,
      ['dead-letter', 'drop'],
      'dead-letter',
    ),
    maxPriority:
      options.maxPriority === undefined
        ? undefined
        : integerOption('maxPriority', options.maxPriority, { min: 1, max: 31, default: 31 }),
    arguments: argumentsOption(options.arguments),
    ...(options.bindings !== undefined && { bindings }),
    ...(options.unbind !== undefined && { unbind }),
  };
}

function capacityOption(name: string, value: number | undefined): number | undefined {
  return value === undefined
    ? undefined
    : integerOption(name, value, { min: 1, infinity: true, default: Number.POSITIVE_INFINITY });
}

/** With `reject-publish-dlx` each refusal leaves a dead letter behind, and a refused message is sent until there is room. */
function argumentsOption(given: QueueOptions['arguments']): QueueSpec['arguments'] {
  if (given?.['x-overflow'] !== 'reject-publish-dlx') return { ...given };
  throw new QueueError(
    'INVALID_OPTION',
    "arguments: with 'x-overflow': 'reject-publish-dlx' a send that waits for room would leave a dead letter behind each time it is refused; use 'reject-publish'",
  );
}

function toDelayedRetry(option: QueueOptions['delayedRetry']): DelayedRetry | undefined {
  if (option === undefined) return undefined;
  checkOptionNames('delayedRetry', option, ['minMs', 'maxMs']);
  if (option.minMs === undefined) throw invalidOption('delayedRetry.minMs', 'milliseconds', option.minMs);
  const minMs = integerOption('delayedRetry.minMs', option.minMs, { min: 1, max: MAX_DELAY_MS, default: 1 });
  const bounds = { min: minMs, max: MAX_DELAY_MS, default: minMs };
  return { minMs, maxMs: integerOption('delayedRetry.maxMs', option.maxMs, bounds) };
}

function toDeadLetter(name: string, option: QueueOptions['deadLetter']): QueueSpec['deadLetter'] {
  if (option === false) return false;
  if (option === undefined || option === true) {
    const queue = `${name}.dead`;
    if (Buffer.byteLength(queue) <= MAX_NAME_BYTES) return { queue, capacity: undefined };
    throw invalidOption(
      'deadLetter',
      `another name, or false: this name is too long to append '.dead'`,
      name,
    );
  }
  if (typeof option === 'string') return toDeadLetter(name, { queue: option });
  checkOptionNames('deadLetter', option, ['queue', 'capacity']);
  const queue = option.queue ?? `${name}.dead`;
  checkDefinedName('deadLetter.queue', queue, 'match');
  if (queue === name) throw invalidOption('deadLetter.queue', `a queue other than '${name}' itself`, queue);
  return { queue, capacity: capacityOption('deadLetter.capacity', option.capacity) };
}

/** An AMQP short string. */
const MAX_NAME_BYTES = 255;

function checkDefinedName(option: string, name: string, declare: DeclareMode): void {
  const fits =
    typeof name === 'string' &&
    name !== '' &&
    name.isWellFormed() &&
    Buffer.byteLength(name) <= MAX_NAME_BYTES &&
    // Another program may have chosen that name.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    (declare === 'existing' || !/[\u0000-\u001f\u007f]/.test(name));
  if (!fits) throw invalidOption(option, `1 to ${MAX_NAME_BYTES} bytes without control characters`, name);
  checkNotReserved(option, name, declare);
}

const BARE: Omit<QueueSpec, 'name' | 'type'> = {
  declare: 'match',
  durable: true,
  exclusive: false,
  autoDelete: false,
  capacity: undefined,
  deadLetter: false,
  deliveryLimit: undefined,
  delayedRetry: undefined,
  maxPriority: undefined,
  arguments: {},
};

/**
 * A dead-letter queue as declared on RabbitMQ: a quorum queue without a delivery limit, regardless of the main queue.
 */
export function deadLetterSpecOf({ deadLetter }: Pick<QueueSpec, 'deadLetter'>): QueueSpec | undefined {
  if (deadLetter === false) return undefined;
  return { ...BARE, name: deadLetter.queue, type: 'quorum', capacity: deadLetter.capacity };
}

/** The queue for a requester's replies, deleted with its only subscriber. */
export function replyQueueSpec(name: string): QueueSpec {
  return { ...BARE, name, type: 'classic', durable: false, exclusive: true, autoDelete: true };
}
