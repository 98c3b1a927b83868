/** The parts of peeking that all backends share: its options, its limits, and where a page ends. */
import type {
  ConsumersOptions,
  Message,
  MessageState,
  PeekedMessage,
  PeekOptions,
  PeekPage,
  QueuesOptions,
} from '../broker.js';
import {
  booleanOption,
  checkOptionNames,
  checkQueueName,
  checkWaitOptions,
  integerOption,
  invalidOption,
  wordOption,
} from './options.js';

/** The bodies of one page. A single body may be larger, if the caller allows it. */
export const MAX_PAGE_BYTES = 8 * 1024 * 1024;

/** A place among messages, by two numbers that grow from one to the next. */
export type Cursor = readonly [major: number, minor: number];

/** The options of a `peek`, checked, with their defaults. */
export interface PeekRequest {
  readonly state: MessageState;
  readonly limit: number;
  /** The place of the last message of the page before. */
  readonly after: Cursor | undefined;
  readonly maxBodyBytes: number;
}

/** Throws `INVALID_OPTION`. */
export function checkPeek(queue: string, options: PeekOptions = {}): PeekRequest {
  checkQueueName(queue);
  checkOptionNames('peek', options, ['state', 'limit', 'after', 'maxBodyBytes', 'signal', 'timeoutMs']);
  checkWaitOptions(options);
  return {
    state: wordOption('state', options.state, ['ready', 'unsettled', 'delayed'], 'ready'),
    limit: integerOption('limit', options.limit, { min: 1, max: 1000, default: 20 }),
    after: options.after === undefined ? undefined : parseCursor(options.after),
    maxBodyBytes: integerOption('maxBodyBytes', options.maxBodyBytes, { min: 0, default: 64 * 1024 }),
  };
}

export interface QueuesRequest {
  readonly match: string;
  readonly internal: boolean;
  readonly limit: number;
}

/** Throws `INVALID_OPTION`. */
export function checkQueues(options: QueuesOptions = {}): QueuesRequest {
  checkOptionNames('queues', options, ['match', 'internal', 'limit', 'signal', 'timeoutMs']);
  checkWaitOptions(options);
  const { match = '' } = options;
  if (typeof match !== 'string') throw invalidOption('match', 'a text', match);
  return {
    match,
    internal: booleanOption('internal', options.internal, false),
    limit: integerOption('limit', options.limit, { min: 1, max: 100_000, default: 10_000 }),
  };
}

export interface ConsumersRequest {
  readonly queue: string | undefined;
  readonly limit: number;
}

/** Throws `INVALID_OPTION`. */
export function checkConsumers(options: ConsumersOptions = {}): ConsumersRequest {
  checkOptionNames('consumers', options, ['queue', 'limit', 'signal', 'timeoutMs']);
  checkWaitOptions(options);
  if (options.queue !== undefined) checkQueueName(options.queue);
  return {
    queue: options.queue,
    limit: integerOption('limit', options.limit, { min: 1, max: 100_000, default: 1000 }),
  };
}

/** In the order of code units, which no locale changes. */
export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function parseCursor(text: string): Cursor {
  const match = /^(\d+(?:\.\d+)?):(\d+)$/.exec(String(text));
  if (match === null) throw invalidOption('after', "the 'next' of an earlier page", text);
  return [Number(match[1]), Number(match[2])];
}

/** One page, as it is filled. */
export class PageWriter {
  readonly #request: PeekRequest;
  readonly #messages: PeekedMessage[] = [];
  #bytes = 0;
  #last: Cursor | undefined;

  constructor(request: PeekRequest) {
    this.#request = request;
  }

  /** Where the page ends so far; before its first message, where the page before it ended. */
  get end(): Cursor | undefined {
    return this.#last ?? this.#request.after;
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Whether a message at this place comes after the page before. */
  isAfter([major, minor]: Cursor): boolean {
    const { after } = this.#request;
    return after === undefined || major > after[0] || (major === after[0] && minor > after[1]);
  }

  /** Cuts the body; false if the page is full. `bodyBytes`: the size of the whole body, if it is cut already. */
  add(place: Cursor, facts: Omit<PeekedMessage, 'bodyBytes'>, bodyBytes?: number): boolean {
    const { maxBodyBytes, limit } = this.#request;
    if (this.#messages.length >= limit) return false;
    const whole = bodyBytes ?? Buffer.byteLength(facts.message.body);
    const body = cutBody(facts.message.body, maxBodyBytes);
    this.#bytes += Buffer.byteLength(body);
    // The first one is shown regardless of its size.
    if (this.#bytes > MAX_PAGE_BYTES && !this.isEmpty) return false;
    this.#messages.push({ ...facts, message: { ...facts.message, body }, bodyBytes: whole });
    this.#last = place;
    return true;
  }

  /** `isComplete`: there are no more messages. */
  finish(isComplete: boolean): PeekPage {
    const next = isComplete || this.#last === undefined ? undefined : this.#last.join(':');
    return { messages: this.#messages, next };
  }
}

/** A copy of the first bytes; of a text, as many whole characters. */
export function cutBody(body: Message['body'], maxBytes: number): Message['body'] {
  if (typeof body !== 'string') return new Uint8Array(body.subarray(0, maxBytes));
  if (body.length * 3 <= maxBytes) return body;
  // A character takes at least a byte for each of its code units but one.
  return cutText(Buffer.from(body.slice(0, maxBytes + 1)), maxBytes);
}

/** The text of the first bytes, as many whole characters. */
export function cutText(bytes: Buffer, maxBytes: number): string {
  if (bytes.length <= maxBytes) return bytes.toString();
  let end = maxBytes;
  // A byte 10xxxxxx continues a character.
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
