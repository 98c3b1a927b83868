import { MAX_PRIORITY } from '../broker.js';
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
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
}

/** Throws `INVALID_OPTION`. */
export function checkMessageOptions(options: MessageOptions): void {
  shortString('id', options.id, 1);
  shortString('correlationId', options.correlationId, 0);
  shortString('replyTo', options.replyTo, 0);
  integerOption('priority', options.priority, { min: 0, max: MAX_PRIORITY, default: 0 });
  if (options.headers !== undefined) checkHeaders(options.headers);
}

/** AMQP 0-9-1 carries these properties as short strings: at most 255 bytes. */
function shortString(name: string, value: string | undefined, minBytes: number): void {
  if (value === undefined) return;
  if (typeof value === 'string') {
    const bytes = Buffer.byteLength(value);
    if (bytes >= minBytes && bytes <= 255) return;
  }
  throw invalidOption(name, `a string of ${minBytes} to 255 bytes`, value);
}

function checkHeaders(headers: Readonly<Record<string, string>>): void {
  if (typeof headers !== 'object' || headers === null) {
    throw invalidOption('headers', 'an object with strings', headers);
  }
  for (const [name, value] of Object.entries(headers)) {
    shortString('the name of a header', name, 1);
    if (typeof value !== 'string') throw invalidOption(`headers[${quote(name)}]`, 'a string', value);
    if (name.startsWith(RESERVED_HEADER_PREFIX)) {
      throw new QueueError(
        'INVALID_OPTION',
        `headers[${quote(name)}]: names that begin with '${RESERVED_HEADER_PREFIX}' are set by millrace alone`,
      );
    }
  }
}
