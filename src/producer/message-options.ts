import { MAX_PRIORITY, type Message } from '../broker.js';
import { RESERVED_HEADER_PREFIX } from '../common/history-headers.js';
import { integerOption, invalidOption, quote } from '../common/options.js';
import { QueueError } from '../errors.js';

/** What a sender may say about a message besides its value. */
export interface MessageOptions {
  /** Names the message: the same id marks the same message. 1 to 255 bytes. Default: a new UUID. */
  readonly id?: string | undefined;
  /** Strings by name. Names that begin with `x-millrace-` are the toolkit's. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** 0 to 31, the greater first. Default: 4. Classic RabbitMQ queues need `maxPriority` for it. */
  readonly priority?: number | undefined;
  /** Which request this belongs to. At most 255 bytes. A requester sets it by itself. */
  readonly correlationId?: string | undefined;
  /** The queue that a reply goes to. At most 255 bytes. A requester sets it by itself. */
  readonly replyTo?: string | undefined;
}

/** Message options that were checked, and that the caller can't change any more. */
export type MessageProperties = Partial<
  Pick<Message, 'id' | 'headers' | 'priority' | 'correlationId' | 'replyTo'>
>;

/** Throws `INVALID_OPTION`. */
export function messageProperties(options: MessageOptions): MessageProperties {
  const { id, headers, priority, correlationId, replyTo } = options;
  shortString('id', id, 1);
  shortString('correlationId', correlationId, 0);
  shortString('replyTo', replyTo, 0);
  integerOption('priority', priority, { min: 0, max: MAX_PRIORITY, default: 0 });
  return {
    ...(id !== undefined && { id }),
    ...(headers !== undefined && { headers: copyOf(headers) }),
    priority,
    correlationId,
    replyTo,
  };
}

/** AMQP 0-9-1 carries these properties as short strings: at most 255 bytes. */
function shortString(name: string, value: string | undefined, minBytes: number): void {
  if (value === undefined) return;
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw halfPair(name, value);
    const bytes = Buffer.byteLength(value);
    if (bytes >= minBytes && bytes <= 255) return;
  }
  throw invalidOption(name, `a string of ${minBytes} to 255 bytes`, value);
}

/** UTF-8 can't carry it: what arrives would be another text. */
function halfPair(name: string, value: string): QueueError {
  return invalidOption(name, 'well-formed text, without half a surrogate pair', value);
}

function copyOf(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (typeof headers !== 'object' || headers === null) {
    throw invalidOption('headers', 'an object with strings', headers);
  }
  for (const [name, value] of Object.entries(headers)) {
    shortString('the name of a header', name, 1);
    if (typeof value !== 'string') throw invalidOption(`headers[${quote(name)}]`, 'a string', value);
    if (!value.isWellFormed()) throw halfPair(`headers[${quote(name)}]`, value);
    if (name.startsWith(RESERVED_HEADER_PREFIX)) {
      throw new QueueError(
        'INVALID_OPTION',
        `headers[${quote(name)}]: names that begin with '${RESERVED_HEADER_PREFIX}' are set by millrace alone`,
      );
    }
  }
  // Own properties of any name, `__proto__` included, stay what they are.
  return Object.fromEntries(Object.entries(headers));
}
