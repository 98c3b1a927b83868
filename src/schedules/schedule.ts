import type { Message } from '../broker.js';
import { newMessage, newMessageId } from '../common/message.js';
import { checkOptionNames, invalidOption, isThenable, quote, wordOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import { type MessageOptions, messageProperties, packed } from '../producer/message-options.js';
import type { EncodedValue, Queue } from '../queue.js';
import type { CatchUp } from './progress.js';
import { type Timing, timingOption } from './timing.js';

/** Which tick a message is made for. */
export interface Tick {
  /** The name of the schedule. */
  readonly schedule: string;
  /** When it is due, which may be a while ago; of `runNow`, the time of the call. */
  readonly at: Date;
}

/** Options of `defineSchedule`. */
export interface ScheduleOptions<In> {
  /**
   * Five fields (minute, hour, day of the month, month, day of the week) or six (seconds first), as
   * [croner](https://croner.56k.guru) reads them. Either this or `everyMs`.
   */
  readonly cron?: string | undefined;
  /** The time zone of `cron`, by its IANA name. Default: `'UTC'`, regardless of the machine's time zone. */
  readonly tz?: string | undefined;
  /** A tick at each multiple of this many milliseconds since 1970. At least 100. */
  readonly everyMs?: number | undefined;
  /**
   * The queue, and the value of each message, or a function that creates it from the tick; it may be asynchronous.
   * Then, if needed, properties of the messages, as `send` takes them.
   */
  readonly send: readonly [
    queue: ScheduledQueue<In>,
    value: In | ((tick: Tick) => In | Promise<In>),
    properties?: ScheduledProperties | undefined,
  ];
  /**
   * How to handle ticks that passed while no scheduler ran, and are more than a minute late: `'last'` sends the last
   * tick that is due and skips those before it, `'skip'` skips them all, `'all'` sends each of them. Default: `'last'`.
   */
  readonly catchUp?: CatchUp | undefined;
}

/** Properties of the messages of a schedule. The id, and the time, are those of the tick. */
export type ScheduledProperties = Omit<
  MessageOptions,
  'id' | 'delayMs' | 'at' | 'replyTo' | 'correlationId' | 'contentEncoding'
>;

const PROPERTY_NAMES: readonly (keyof ScheduledProperties)[] = [
  'headers',
  'priority',
  'type',
  'appId',
  'userId',
  'persistent',
  'expiresInMs',
  'compress',
];

/** The parts of a queue that a schedule needs. */
export type ScheduledQueue<In> = Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'>;

/** Sends a message at given times. Made by {@link defineSchedule}; `createScheduler` runs it. */
export interface Schedule {
  /** The same on all programs that run it. */
  readonly name: string;
  /** Where its messages go. */
  readonly queue: Pick<Queue<never, unknown>, 'name' | 'spec'>;
  /** How missed ticks are handled. */
  readonly catchUp: CatchUp;
  /** When its ticks are. */
  readonly timing: Timing;
  /**
   * The message of a tick; undefined: of a run in addition to the ticks. Rejects with `INVALID_MESSAGE` and
   * `TOO_LARGE`, and as the function of its value does.
   */
  message(tick: Date | undefined, maxBytes: number): Promise<Message>;
}

/**
 * Defines a schedule: its name, its messages and its times. Nothing happens yet.
 *
 * ```ts
 * const nightly = defineSchedule('nightly', {
 *   cron: '0 3 * * *',
 *   tz: 'Europe/Berlin',
 *   send: [reports, ({ at }) => ({ day: at.toISOString().slice(0, 10) })],
 * });
 * ```
 *
 * Each message has the id `schedule:<name>:<tick in UTC>`, and the headers `x-millrace-schedule` and `x-millrace-tick`.
 * When the clocks are changed: a time that does not exist that day is taken to be the first one after the gap; one that
 * exists twice is ticked once, unless the expression has a `*`, a step or a list for the hour or for smaller units.
 *
 * Throws `INVALID_OPTION`, and `INVALID_MESSAGE` for a value that fails the schema of its queue.
 */
export function defineSchedule<In>(name: string, options: ScheduleOptions<In>): Schedule {
  if (typeof options !== 'object' || options === null)
    throw invalidOption('defineSchedule', 'a name and an object with options', options);
  checkOptionNames('defineSchedule', options, ['cron', 'tz', 'everyMs', 'send', 'catchUp']);
  checkScheduleName(name);
  const timing = timingOption(options);
  const catchUp = wordOption<CatchUp>('catchUp', options.catchUp, ['skip', 'last', 'all'], 'last');
  const [queue, value, given = {}] = checkSend(options.send);
  checkOptionNames('send', given, PROPERTY_NAMES);
  const properties = messageProperties(given);
  if (typeof value !== 'function') checkValue(queue, value);
  return {
    name,
    queue,
    catchUp,
    timing,
    async message(tick, maxBytes) {
      const at = tick ?? new Date();
      const make = value as (tick: Tick) => In | Promise<In>;
      const made = typeof value === 'function' ? await make({ schedule: name, at }) : value;
      const body = packed(await queue.encode(made as In), properties, queue, maxBytes);
      const suffix = tick === undefined ? `now:${newMessageId()}` : tick.toISOString();
      const headers = {
        ...properties.headers,
        'x-millrace-schedule': name,
        ...(tick !== undefined && { 'x-millrace-tick': tick.toISOString() }),
      };
      return newMessage(body, { ...properties, id: `schedule:${name}:${suffix}`, headers });
    },
  };
}

/** The name is part of the name of RabbitMQ's state queue, and of message ids, which have at most 255 bytes. */
const MAX_NAME_BYTES = 200;

/** Throws `INVALID_OPTION`. */
export function checkScheduleName(name: unknown): string {
  const fits =
    typeof name === 'string' &&
    name.isWellFormed() &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    /^[^\u0000-\u001f\u007f]+$/.test(name) &&
    Buffer.byteLength(name) <= MAX_NAME_BYTES;
  if (!fits)
    throw invalidOption('name', `a text of 1 to ${MAX_NAME_BYTES} bytes, without control characters`, name);
  return name;
}

function checkSend<In>(send: ScheduleOptions<In>['send']): ScheduleOptions<In>['send'] {
  const isPair = Array.isArray(send) && (send.length === 2 || send.length === 3);
  const queue: unknown = isPair ? send[0] : undefined;
  if (typeof queue === 'object' && queue !== null && 'spec' in queue && 'encode' in queue) return send;
  // Not quoted: a queue is large.
  const got = Array.isArray(send) ? `a list of ${send.length}` : quote(send);
  throw new QueueError(
    'INVALID_OPTION',
    `send: expected [queue, value] with a queue made by defineQueue, or [queue, value, properties], got ${got}`,
  );
}

/** A value that can't be sent now can't be sent at any tick. */
function checkValue<In>(queue: ScheduledQueue<In>, value: unknown): void {
  let encoding: EncodedValue | Promise<EncodedValue>;
  try {
    encoding = queue.encode(value as In);
  } catch (error) {
    const why = error instanceof Error ? error.message : quote(error);
    throw new QueueError('INVALID_MESSAGE', `send: ${why}`, { cause: error });
  }
  // An asynchronous schema is checked at each tick.
  if (isThenable(encoding)) encoding.then(undefined, () => {});
}
