import type { Message } from '../broker.js';
import { newMessage, newMessageId } from '../common/message/create-and-check.js';
import { checkOptionNames, invalidOption, isThenable, quote, wordOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import { type MessageOptions, messageProperties, packed } from '../producer/message-options.js';
import type { EncodedValue, Queue } from '../queue.js';
import type { EventInputs, EventSchemas, Topic } from '../topics/topic.js';
import type { CatchUp } from './progress.js';
import { type MessageTarget, queueTarget, type ScheduleTarget, topicTarget } from './target.js';
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

/** Options of `defineSchedule` for a schedule that publishes events. */
export interface EventScheduleOptions<Schemas extends EventSchemas, Event extends keyof Schemas & string>
  extends Omit<ScheduleOptions<never>, 'send'> {
  /**
   * The topic, the event, and its value, or a function that creates it from the tick; it may be asynchronous. Then, if
   * needed, properties of the messages, as `publish` takes them. A tick that no subscription takes counts as sent, unless
   * the topic has `unrouted: 'error'`.
   */
  readonly publish: readonly [
    topic: Topic<Schemas>,
    event: Event,
    value:
      | EventInputs<Schemas>[Event]
      | ((tick: Tick) => EventInputs<Schemas>[Event] | Promise<EventInputs<Schemas>[Event]>),
    properties?: Omit<ScheduledProperties, 'type'> | undefined,
  ];
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
  readonly target: ScheduleTarget;
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
 * `publish: [topic, event, value]` instead of `send` publishes an event to all subscriptions of a topic.
 *
 * Throws `INVALID_OPTION`, and `INVALID_MESSAGE` for a value that fails the schema of its queue or event.
 */
export function defineSchedule<In>(name: string, options: ScheduleOptions<In>): Schedule;
/** A schedule that publishes events. */
export function defineSchedule<Schemas extends EventSchemas, Event extends keyof Schemas & string>(
  name: string,
  options: EventScheduleOptions<Schemas, Event>,
): Schedule;
export function defineSchedule(name: string, options: AnyOptions): Schedule {
  if (typeof options !== 'object' || options === null)
    throw invalidOption('defineSchedule', 'a name and an object with options', options);
  checkOptionNames('defineSchedule', options, ['cron', 'tz', 'everyMs', 'send', 'publish', 'catchUp']);
  checkScheduleName(name);
  const timing = timingOption(options);
  const catchUp = wordOption<CatchUp>('catchUp', options.catchUp, ['skip', 'last', 'all'], 'last');
  const { to, value, properties } = contentOf(options);
  if (typeof value !== 'function') checkValue(to, value);
  return {
    name,
    target: to.target,
    catchUp,
    timing,
    async message(tick, maxBytes) {
      const at = tick ?? new Date();
      const made = typeof value === 'function' ? await value({ schedule: name, at }) : value;
      const body = packed(await to.encode(made), properties, to, maxBytes);
      const suffix = tick === undefined ? `now:${newMessageId()}` : tick.toISOString();
      const headers = {
        ...properties.headers,
        'x-millrace-schedule': name,
        ...(tick !== undefined && { 'x-millrace-tick': tick.toISOString() }),
      };
      return newMessage(body, { ...properties, id: `schedule:${name}:${suffix}`, headers }, to.routed);
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

/** The options as a program without types passes them. */
type AnyOptions = Omit<ScheduleOptions<never>, 'send'> & {
  readonly send?: unknown;
  readonly publish?: unknown;
};

/** Throws `INVALID_OPTION`. */
function contentOf({ send, publish }: AnyOptions) {
  if (send !== undefined && publish !== undefined)
    throw new QueueError('INVALID_OPTION', 'send and publish exclude each other; make two schedules');
  const { to, value, given, names } = publish === undefined ? sendOf(send) : publishOf(publish);
  checkOptionNames(publish === undefined ? 'send' : 'publish', given, names);
  return { to, value, properties: messageProperties(given) };
}

function sendOf(send: unknown) {
  if (Array.isArray(send) && (send.length === 2 || send.length === 3)) {
    const [queue, value, given = {}] = send;
    if (isQueue(queue)) return { to: queueTarget(queue), value, given, names: PROPERTY_NAMES };
  }
  const hint = hasTopic(send) ? ". For an event of a topic: publish: [topic, 'event', value]" : '';
  throw new QueueError(
    'INVALID_OPTION',
    `send: expected [queue, value] with a queue made by defineQueue, or [queue, value, properties], got ${briefly(send)}${hint}`,
  );
}

function publishOf(publish: unknown) {
  if (hasTopic(publish) && (publish.length === 3 || publish.length === 4)) {
    const [topic, event, value, given = {}] = publish;
    const names = PROPERTY_NAMES.filter((name) => name !== 'type');
    return { to: topicTarget(topic, event), value, given, names };
  }
  throw new QueueError(
    'INVALID_OPTION',
    `publish: expected [topic, 'event', value] with a topic made by defineTopic, or [topic, 'event', value, properties], got ${briefly(publish)}`,
  );
}

function isQueue(value: unknown): value is ScheduledQueue<never> {
  return has(value, 'spec') && has(value, 'encode');
}

function hasTopic(list: unknown): list is readonly [Topic, ...unknown[]] {
  return Array.isArray(list) && has(list[0], 'events') && has(list[0], 'exchange');
}

function has(value: unknown, name: string): value is object {
  return typeof value === 'object' && value !== null && name in value;
}

/** Not quoted: a queue is large. */
function briefly(given: unknown): string {
  return Array.isArray(given) ? `a list of ${given.length}` : quote(given);
}

/** A value that can't be sent now can't be sent at any tick. */
function checkValue(to: MessageTarget, value: unknown): void {
  let encoding: EncodedValue | Promise<EncodedValue>;
  try {
    encoding = to.encode(value);
  } catch (error) {
    const why = error instanceof Error ? error.message : quote(error);
    throw new QueueError('INVALID_MESSAGE', `${to.target.kind === 'queue' ? 'send' : 'publish'}: ${why}`, {
      cause: error,
    });
  }
  // An asynchronous schema is checked at each tick.
  if (isThenable(encoding)) encoding.then(undefined, () => {});
}
