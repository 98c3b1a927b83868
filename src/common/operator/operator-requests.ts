/** The options of `peek`, `queues` and `consumers`, checked alike on every backend. */
import type { ConsumersOptions, MessageState, PeekOptions, QueuesOptions } from '../../broker.js';
import {
  booleanOption,
  checkOptionNames,
  checkQueueName,
  checkWaitOptions,
  integerOption,
  invalidOption,
  wordOption,
} from '../options.js';
import type { Cursor } from './peek-page.js';

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
