import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { DeclareMode, DelayedRetry, Failure, Message, QueueSpec } from './broker.js';
import { type Codec, type CodecName, codecFor, codecs } from './common/codec.js';
import { errorText } from './common/error-text.js';
import {
  booleanOption,
  checkOptionNames,
  integerOption,
  invalidOption,
  MAX_DELAY_MS,
  quote,
  wordOption,
} from './common/options.js';
import { QueueError } from './errors.js';

/** What {@link defineQueue} takes besides the name and the schema. All have defaults. */
export interface QueueOptions<In = unknown> {
  /**
   * How values become message bodies: `'json'` (default), `'text'` for strings as they are, `'bytes'` for
   * `Uint8Array`, or a codec of your own.
   */
  readonly codec?:
    | 'json'
    | ([In] extends [string] ? 'text' : never)
    | ([In] extends [Uint8Array] ? 'bytes' : never)
    | Codec
    | undefined;
  /** What to do with a queue that is there already. Default: `'match'`. */
  readonly declare?: DeclareMode | undefined;
  /** The RabbitMQ queue type. Default: `'quorum'`, replicated and durable. */
  readonly type?: 'quorum' | 'classic' | undefined;
  /**
   * Whether the queue survives a restart of RabbitMQ. Default: true. `false` needs `type: 'classic'`; RabbitMQ
   * 4.3 and later refuse it unless the queue is also `exclusive`.
   */
  readonly durable?: boolean | undefined;
  /** For this connection alone, and gone with it. Default: false. `true` needs `type: 'classic'`. */
  readonly exclusive?: boolean | undefined;
  /** Deleted when its last consumer leaves. Default: false. `true` needs `type: 'classic'`. */
  readonly autoDelete?: boolean | undefined;
  /**
   * How many messages the queue holds before `send` waits: the back-pressure. Default: 1024 on the local broker
   * in memory; on RabbitMQ no limit but its disk. `Infinity` lifts the limit. On RabbitMQ it becomes
   * `x-max-length` with `x-overflow: reject-publish`.
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
   * How often a message may come back unsettled, because its process died, before RabbitMQ dead-letters it.
   * `Infinity` lifts the limit. Quorum queues only. Default: 20, RabbitMQ's own since 4.0; with `declare: 'if-missing'` the broker's own.
   */
  readonly deliveryLimit?: number | undefined;
  /**
   * Lets a quorum queue of RabbitMQ 4.3 or later delay retries itself, instead of by a wait queue for each delay: the
   * nth failure of a message keeps it in its queue for n times `minMs`, for `maxMs` at most (milliseconds; `maxMs`
   * is `minMs` unless set). Consumers retry after 1, 2 and 3 times `minMs` then, unless told otherwise; a retry after
   * another delay takes a wait queue all the same, and so do all retries on classic queues, on older servers and
   * where the queue was there before without it. Needs `declare: 'match'`.
   *
   * Such a retry costs no publish, and the message comes again as it was sent: a dead letter tells its last error
   * only, as the first one too. What died with its process waits likewise before it comes again. Half of the
   * `deliveryLimit` is kept for those deaths: further retries take a wait queue.
   * https://www.rabbitmq.com/docs/quorum-queues#delayed-retry
   */
  readonly delayedRetry?: { readonly minMs: number; readonly maxMs?: number | undefined } | undefined;
  /** Makes a classic RabbitMQ queue a priority queue (`x-max-priority`), 1 to 31. Others need no such option. */
  readonly maxPriority?: number | undefined;
  /** Further RabbitMQ arguments, as they are: `{ 'x-single-active-consumer': true }`. */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
}

const OPTION_NAMES: readonly (keyof QueueOptions)[] = [
  'codec',
  'declare',
  'type',
  'durable',
  'exclusive',
  'autoDelete',
  'capacity',
  'deadLetter',
  'deliveryLimit',
  'delayedRetry',
  'maxPriority',
  'arguments',
];

/** A value as it goes over the wire. */
export interface EncodedValue {
  readonly contentType: string;
  readonly body: Uint8Array | string;
}

/** What became of a received body: a value that fits the schema, or why there is none. */
export type DecodedValue<Out> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly failure: Failure };

/**
 * A named queue whose messages fit a schema. `In` is what producers send; `Out` is what handlers get: the same,
 * unless the schema transforms it. Transformations run once, at the consumer.
 */
export interface Queue<In, Out = In> {
  readonly name: string;
  readonly spec: QueueSpec;
  /** Rejects or throws `INVALID_MESSAGE`. Asynchronous only where the schema is. */
  encode(value: In): EncodedValue | Promise<EncodedValue>;
  /** Never throws. Asynchronous only where the schema is. */
  decode(message: Message): DecodedValue<Out> | Promise<DecodedValue<Out>>;
}

/**
 * Names a queue and says what its messages look like. The schema is any [Standard Schema](https://standardschema.dev):
 * zod 4, valibot, arktype and others. Nothing is sent or declared yet.
 *
 * ```ts
 * const orders = defineQueue('orders', z.object({ id: z.string(), total: z.number() }), { capacity: 10_000 });
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function defineQueue<S extends StandardSchemaV1>(
  name: string,
  schema: S,
  options?: QueueOptions<StandardSchemaV1.InferInput<S>>,
): Queue<StandardSchemaV1.InferInput<S>, StandardSchemaV1.InferOutput<S>> {
  type In = StandardSchemaV1.InferInput<S>;
  type Out = StandardSchemaV1.InferOutput<S>;
  checkOptionNames('defineQueue', options, OPTION_NAMES);
  const { validate } = checkSchema(schema)['~standard'];
  const spec = toSpec(name, options ?? {});
  const codec = toCodec(options?.codec);

  return {
    name,
    spec,
    encode(value: In) {
      const result = guard(() => validate(value));
      return result instanceof Promise
        ? result.then((settled) => encodeValid(name, codec, value, settled))
        : encodeValid(name, codec, value, result);
    },
    decode(message) {
      let value: unknown;
      try {
        if (message.contentEncoding !== undefined) {
          throw new TypeError(
            `the body is encoded as ${quote(message.contentEncoding)}, which is not supported`,
          );
        }
        value = codecFor(message.contentType, codec).decode(message.body);
      } catch (error) {
        return { ok: false, failure: { code: 'undecodable', error: errorText(error) } };
      }
      const result = guard(() => validate(value));
      return result instanceof Promise ? result.then(toDecoded<Out>) : toDecoded<Out>(result);
    },
  };
}

/** A schema that throws (zod does for asynchronous checks run synchronously) fails the value, not the process. */
function guard(
  validate: () => StandardSchemaV1.Result<unknown> | Promise<StandardSchemaV1.Result<unknown>>,
): StandardSchemaV1.Result<unknown> | Promise<StandardSchemaV1.Result<unknown>> {
  const failed = (error: unknown) => ({ issues: [{ message: `the schema threw: ${errorText(error)}` }] });
  try {
    const result = validate();
    return result instanceof Promise ? result.catch(failed) : result;
  } catch (error) {
    return failed(error);
  }
}

function encodeValid(
  name: string,
  codec: Codec,
  value: unknown,
  result: StandardSchemaV1.Result<unknown>,
): EncodedValue {
  if (result.issues) {
    throw new QueueError(
      'INVALID_MESSAGE',
      `a value for '${name}' fails its schema: ${describe(result.issues)}`,
    );
  }
  try {
    // The value as given, not the validated one: what the consumer validates must be what was valid here.
    return { contentType: codec.contentType, body: codec.encode(value) };
  } catch (error) {
    throw new QueueError('INVALID_MESSAGE', `a value for '${name}' can't be encoded: ${errorText(error)}`, {
      cause: error,
    });
  }
}

function toDecoded<Out>(result: StandardSchemaV1.Result<unknown>): DecodedValue<Out> {
  if (result.issues) return { ok: false, failure: { code: 'invalid', error: describe(result.issues) } };
  return { ok: true, value: result.value as Out };
}

function describe(issues: readonly StandardSchemaV1.Issue[]): string {
  const shown = issues.slice(0, 5).map((issue) => {
    const path = issue.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
    return path ? `${path}: ${issue.message}` : issue.message;
  });
  if (issues.length > shown.length) shown.push(`and ${issues.length - shown.length} more`);
  return shown.join('; ');
}

function checkSchema<S extends StandardSchemaV1>(schema: S): S {
  if (typeof schema?.['~standard']?.validate === 'function') return schema;
  throw invalidOption('schema', 'a Standard Schema such as z.string() of zod 4', schema);
}

function toCodec(codec: CodecName | Codec | undefined): Codec {
  if (codec === undefined) return codecs.json;
  if (typeof codec === 'string' && Object.hasOwn(codecs, codec)) return codecs[codec];
  if (typeof codec === 'object' && codec !== null) {
    if (typeof codec.encode === 'function' && typeof codec.decode === 'function') {
      if (typeof codec.contentType === 'string') return codec;
    }
  }
  throw invalidOption(
    'codec',
    "'json', 'text', 'bytes', or an object with contentType, encode and decode",
    codec,
  );
}

function toSpec(name: string, options: QueueOptions): QueueSpec {
  const declare = wordOption('declare', options.declare, ['match', 'if-missing', 'existing'], 'match');
  checkQueueName('name', name, declare);
  const type = wordOption('type', options.type, ['quorum', 'classic'], 'quorum');
  const durable = booleanOption('durable', options.durable, true);
  const exclusive = booleanOption('exclusive', options.exclusive, false);
  const autoDelete = booleanOption('autoDelete', options.autoDelete, false);
  if (type === 'quorum' && (!durable || exclusive || autoDelete)) {
    throw new QueueError(
      'INVALID_OPTION',
      `the queue '${name}' is a quorum queue, which is always durable, shared and permanent; durable: false, exclusive: true and autoDelete: true need type: 'classic'`,
    );
  }
  if (options.maxPriority !== undefined && type === 'quorum') {
    throw new QueueError(
      'INVALID_OPTION',
      `maxPriority is for type: 'classic'; the quorum queue '${name}' has its priorities without it`,
    );
  }
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
    maxPriority:
      options.maxPriority === undefined
        ? undefined
        : integerOption('maxPriority', options.maxPriority, { min: 1, max: 31, default: 31 }),
    arguments: { ...options.arguments },
  };
}

function capacityOption(name: string, value: number | undefined): number | undefined {
  return value === undefined
    ? undefined
    : integerOption(name, value, { min: 1, infinity: true, default: Number.POSITIVE_INFINITY });
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
  if (option === undefined || option === true) return { queue: `${name}.dead`, capacity: undefined };
  if (typeof option === 'string') return toDeadLetter(name, { queue: option });
  checkOptionNames('deadLetter', option, ['queue', 'capacity']);
  const queue = option.queue ?? `${name}.dead`;
  checkQueueName('deadLetter.queue', queue, 'match');
  if (queue === name) throw invalidOption('deadLetter.queue', `another queue than '${name}' itself`, queue);
  return { queue, capacity: capacityOption('deadLetter.capacity', option.capacity) };
}

/** An AMQP short string has 255 bytes; the names of retry queues are made by adding to this one. */
const MAX_NAME_BYTES = 220;

function checkQueueName(option: string, name: string, declare: DeclareMode): void {
  const fits =
    typeof name === 'string' &&
    name !== '' &&
    Buffer.byteLength(name) <= MAX_NAME_BYTES &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    !/[\u0000-\u001f\u007f]/.test(name);
  if (!fits) throw invalidOption(option, `1 to ${MAX_NAME_BYTES} bytes without control characters`, name);
  if (name.startsWith('amq.') && declare !== 'existing') {
    throw new QueueError(
      'INVALID_OPTION',
      `${option}: ${quote(name)} begins with 'amq.', which RabbitMQ keeps for itself; choose another name, or declare: 'existing'`,
    );
  }
}
