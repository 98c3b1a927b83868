/**
 * The headers of a message as AMQP 0-9-1 carries them: a table of typed fields (4.2.5.5), with the tags of
 * https://www.rabbitmq.com/amqp-0-9-1-errata#section_3. For a message that is moved, the bytes of each field are kept as
 * they came: of the types that are one in JavaScript, such as the eight kinds of integers, none is lost on the way.
 *
 * A table may contain anything, so it is decoded to a limited depth: amqplib, which goes to any depth, runs out of stack
 * over a table of 35 kB. amqplib's codec differs otherwise, too. It hands over 64-bit integers without their last digits,
 * timestamps and decimals as `{ '!': type, value }`, and a table that has the name `!` as such a value; it writes the
 * shortest integer that fits, and treats every number from 2^50 on as an integer.
 */
import type { HeaderValue, MessageHeaders } from '../../broker.js';
import { MAX_HEADER_DEPTH, setField } from '../../common/message/headers.js';
import { asShortString } from './frames.js';
import { decode, encode, endOfValue, guarded, shortString } from './table-values.js';

/** The value that readers get in place of an unreadable one. */
const UNREADABLE_VALUE = '[unreadable]';

/** A field of a table, as it came. */
export interface HeaderField {
  readonly name: string;
  /** The name, the tag and the value. */
  readonly bytes: Buffer;
}

export class HeaderTable {
  /** All values; those that can't be read are {@link UNREADABLE_VALUE}. */
  readonly values: MessageHeaders;
  /** Why a header could not be read; undefined if all could. */
  readonly unreadable: string | undefined;
  /** Whether there are values of other types than text. */
  readonly isTyped: boolean;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;

  /** Reads the table whose fields are between `start` and `end`. Throws `MalformedFrame`. */
  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    const values: Record<string, HeaderValue> = {};
    let isTyped = false;
    let unreadable: string | undefined;
    for (let at = start; at < end; ) {
      const tagAt = at + 1 + (bytes[at] as number);
      const valueEnd = endOfValue(bytes, tagAt, end);
      const name = asShortString(bytes.toString('utf8', at + 1, tagAt));
      let value: HeaderValue | undefined;
      if (bytes[tagAt] === 0x53) {
        value = bytes.toString('utf8', tagAt + 5, valueEnd);
      } else {
        isTyped = true;
        value = guarded(() => decode(bytes, tagAt, valueEnd, MAX_HEADER_DEPTH));
        if (value === undefined)
          unreadable = `its header ${JSON.stringify(name.slice(0, 100))} can't be read: it is nested deeper than ${MAX_HEADER_DEPTH} levels, or malformed`;
      }
      setField(values, name, value === undefined ? UNREADABLE_VALUE : value);
      at = valueEnd;
    }
    this.values = values;
    this.isTyped = isTyped;
    this.unreadable = unreadable;
  }

  /** Each field as it came, in their order. */
  *fields(): Generator<HeaderField> {
    for (let at = this.#start; at < this.#end; ) {
      const tagAt = at + 1 + (this.#bytes[at] as number);
      const end = endOfValue(this.#bytes, tagAt, this.#end);
      yield {
        name: asShortString(this.#bytes.toString('utf8', at + 1, tagAt)),
        bytes: this.#bytes.subarray(at, end),
      };
      at = end;
    }
  }
}

export const NO_HEADERS = new HeaderTable(Buffer.alloc(0), 0, 0);

/** Whether a reader, here or elsewhere, can be expected to decode the field. */
export function isReadable({ bytes }: HeaderField): boolean {
  const tagAt = 1 + (bytes[0] as number);
  return guarded(() => decode(bytes, tagAt, bytes.length, MAX_HEADER_DEPTH)) !== undefined;
}

/** The field that carries a value. Throws for values that a table can't carry. */
export function encodeField(name: string, value: HeaderValue): HeaderField {
  return { name, bytes: Buffer.concat([shortString(name), encode(value, MAX_HEADER_DEPTH)]) };
}
