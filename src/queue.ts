import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Failure, Message, QueueSpec } from './broker.js';
import { type QueueOptions, queueSpec } from './common/definitions/queue-spec.js';
import { type Codec, codecFor, codecOption, fidelityOf } from './common/encoding/codec.js';
import { compressionOption, type Decompressed, decompress } from './common/encoding/compression.js';
import { type Compression, compressionsIn } from './common/encoding/content-encoding.js';
import { encodingFault, type Fault, RoundTrip } from './common/encoding/round-trip.js';
import {
  describeIssues,
  describeThrown,
  type Validate,
  type Verdict,
  validatorOf,
} from './common/encoding/schema.js';
import { copyBody, DEFAULT_MAX_MESSAGE_BYTES } from './common/message/create-and-check.js';
import { errorText, quote } from './common/options.js';
import { QueueError } from './errors.js';

export type { QueueOptions } from './common/definitions/queue-spec.js';

/** An encoded value. */
export interface EncodedValue {
  /** The media type of the body. */
  readonly contentType: string;
  /** Text is UTF-8 on every wire and disk. */
  readonly body: Uint8Array | string;
}

/**
 * The result of decoding a body: a valid value, or a failure. The failure code `'failed'` means that the schema threw
 * `error`, and may accept the same body later.
 */
export type DecodedValue<Out> =
  | { readonly ok: true; readonly value: Out }
  | { readonly ok: false; readonly failure: Failure; readonly error?: unknown };

/**
 * A named queue whose messages fit a schema. `In` is the type that producers send; `Out` is the type that handlers receive,
 * which differs if the schema transforms values. Transformations run once, at the consumer.
 */
export interface Queue<In, Out = In> {
  /** The name of the queue at the broker. */
  readonly name: string;
  /** The options of `defineQueue`, checked and completed. */
  readonly spec: QueueSpec;
  /** Throws or rejects with `INVALID_MESSAGE`. Asynchronous only if the schema is. */
  encode(value: In): EncodedValue | Promise<EncodedValue>;
  /** How producers compress bodies, unless a send overrides it. */
  readonly compress?: Compression | undefined;
  /** The schema of the values, for documentation. */
  readonly schema?: StandardSchemaV1 | undefined;
  /** The content type of the messages. */
  readonly contentType?: string | undefined;
  /**
   * Never throws. Asynchronous only if the schema is, or if a large body is compressed. `maxBytes`: how large a compressed
   * body may become; 1 MiB unless set.
   */
  decode(message: Message, maxBytes?: number): DecodedValue<Out> | Promise<DecodedValue<Out>>;
}

/** The description of an event's value, and the media type of its messages. */
export type EventSchema = Pick<Queue<unknown>, 'schema' | 'contentType'>;

/**
 * A queue that receives the events of a topic, distinguished by their names. `Events` maps names to the types of their
 * values. Messages can't be sent to it directly. Created by `defineSubscription`.
 */
export interface EventQueue<Events extends object> extends Queue<never, Events[keyof Events]> {
  /** The names of the events. */
  readonly events: readonly (keyof Events & string)[];
  /** The description of each event's value, for documentation. */
  readonly schemas?: Readonly<Partial<Record<keyof Events & string, EventSchema>>> | undefined;
  /** For the compiler only. */
  readonly eventValues?: Events | undefined;
  /** The name of a message's event, from its type or its routing key; undefined if the queue has no such event. */
  eventOf(said: {
    readonly type?: string | undefined;
    readonly routingKey?: string | undefined;
  }): (keyof Events & string) | undefined;
}

/**
 * Defines a queue by its name and the schema of its messages, which is any [Standard Schema](https://standardschema.dev):
 * zod 4, valibot, arktype and others. Nothing is declared yet.
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
  const validate = validatorOf(schema);
  const spec = queueSpec(name, options);
  const compression = compressionOption(options?.compress);
  return new SchemaQueue({ spec, codec: codecOption(options?.codec), schema, validate, compression });
}

interface Definition {
  readonly spec: QueueSpec;
  readonly codec: Codec;
  readonly schema: StandardSchemaV1;
  readonly validate: Validate;
  readonly compression: Compression | undefined;
}

class SchemaQueue<In, Out> implements Queue<In, Out> {
  readonly name: string;
  readonly spec: QueueSpec;
  readonly compress: Compression | undefined;
  readonly schema: StandardSchemaV1;
  readonly contentType: string;
  readonly #codec: Codec;
  readonly #validate: Validate;
  readonly #roundTrip: RoundTrip;
  /** Whether the schema has ever returned a promise. */
  #isAsync = false;

  constructor({ spec, codec, schema, validate, compression }: Definition) {
    this.name = spec.name;
    this.spec = spec;
    this.compress = compression;
    this.schema = schema;
    this.contentType = codec.contentType;
    this.#codec = codec;
    this.#validate = validate;
    this.#roundTrip = new RoundTrip(codec, validate);
  }

  // Own properties, so that a copy of a definition still has them.
  readonly encode = (value: In): EncodedValue | Promise<EncodedValue> => {
    if (this.#isAsync) return this.#encodeFirst(value);
    const verdict = this.#validate(value);
    if (verdict instanceof Promise) {
      this.#isAsync = true;
      // Encoded now: the caller may change the value while an asynchronous schema validates it.
      const encoding = this.#encodeFirst(value);
      encoding.catch(() => {});
      return verdict.then((settled) => {
        this.#check(settled);
        return encoding;
      });
    }
    this.#check(verdict);
    // The given value, not the validated one: the consumer must validate the value that was valid here.
    const encoded = this.#encoded(value);
    const fidelity = fidelityOf(this.#codec, value);
    if (fidelity === 'plain' || !this.#roundTrip.isNeeded(fidelity)) return encoded;
    const fault = this.#roundTrip.fault(value, encoded.body);
    if (fault instanceof Promise) return fault.then((settled) => this.#unless(settled, encoded));
    return this.#unless(fault, encoded);
  };

  readonly decode = (
    message: Message,
    maxBytes = DEFAULT_MAX_MESSAGE_BYTES,
  ): DecodedValue<Out> | Promise<DecodedValue<Out>> => {
    const { contentEncoding } = message;
    if (contentEncoding === undefined) return this.#decode(message, message.body);
    const decompressed = decompress(message.body, contentEncoding, maxBytes);
    return decompressed instanceof Promise
      ? decompressed.then((settled) => this.#decodeContent(message, settled, maxBytes))
      : this.#decodeContent(message, decompressed, maxBytes);
  };

  #decodeContent(
    message: Message,
    decompressed: Decompressed,
    maxBytes: number,
  ): DecodedValue<Out> | Promise<DecodedValue<Out>> {
    switch (decompressed.type) {
      case 'body':
        return this.#decode(message, decompressed.body);
      case 'too-large': {
        const error = `the body has more than ${maxBytes} bytes, the limit, once it is decompressed`;
        return { ok: false, failure: { code: 'too-large', error } };
      }
      case 'damaged': {
        const error = `the body can't be decompressed as ${quote(message.contentEncoding)}: ${decompressed.error}`;
        return { ok: false, failure: { code: 'undecodable', error } };
      }
    }
  }

  #decode(
    { contentType, contentEncoding }: Message,
    body: Message['body'],
  ): DecodedValue<Out> | Promise<DecodedValue<Out>> {
    let value: unknown;
    const codec = codecFor(contentType, this.#codec);
    try {
      // Many codecs wrap functions to which a second argument means something else: it is passed only if needed.
      value =
        contentEncoding === undefined || compressionsIn(contentEncoding) !== undefined
          ? codec.decode(body)
          : codec.decode(body, { contentType, contentEncoding });
    } catch (error) {
      return { ok: false, failure: { code: 'undecodable', error: errorText(error) } };
    }
    const verdict = this.#validate(value);
    const label = codec === this.#codec ? '' : mislabelled(contentType, this.#codec.contentType);
    return verdict instanceof Promise
      ? verdict.then((settled) => toDecoded<Out>(settled, label))
      : toDecoded<Out>(verdict, label);
  }

  /** Encodes at once, and validates the decoded form of the encoded value: the value itself may change meanwhile. */
  async #encodeFirst(value: In): Promise<EncodedValue> {
    const { contentType, body } = this.#encoded(value);
    const encoded = { contentType, body: copyBody(body) };
    return this.#unless(await this.#roundTrip.fault(value, encoded.body), encoded);
  }

  #encoded(value: In): EncodedValue {
    try {
      return { contentType: this.#codec.contentType, body: this.#codec.encode(value) };
    } catch (error) {
      throw this.#invalid(`can't be encoded: ${encodingFault(this.#codec, value, error)}`, error);
    }
  }

  /** Throws `INVALID_MESSAGE`. */
  #check(verdict: Verdict): void {
    if (verdict.type === 'invalid')
      throw this.#invalid(`fails its schema: ${describeIssues(verdict.issues)}`);
    if (verdict.type === 'threw') {
      throw this.#invalid(`can't be validated: ${describeThrown(verdict.error)}`, verdict.error);
    }
  }

  #unless(fault: Fault | undefined, encoded: EncodedValue): EncodedValue {
    if (fault !== undefined) throw this.#invalid(fault.text, fault.cause);
    return encoded;
  }

  #invalid(why: string, cause?: unknown): QueueError {
    return new QueueError('INVALID_MESSAGE', `a value for '${this.name}' ${why}`, { cause });
  }
}

/** Usually a message that was sent by hand. */
function mislabelled(contentType: string, expected: string): string {
  return ` (the message is labelled ${quote(contentType)}, and this queue expects ${expected}: send it with that content type)`;
}

/** `label`: an addition to the error text for a value that fails the schema. */
function toDecoded<Out>(verdict: Verdict, label: string): DecodedValue<Out> {
  switch (verdict.type) {
    case 'valid':
      return { ok: true, value: verdict.value as Out };
    case 'invalid':
      return { ok: false, failure: { code: 'invalid', error: describeIssues(verdict.issues) + label } };
    case 'threw':
      return {
        ok: false,
        failure: { code: 'failed', error: describeThrown(verdict.error) },
        error: verdict.error,
      };
  }
}
