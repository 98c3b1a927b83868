import type { Broker, Delivery, Destination, Failure, Message } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { checkOptionNames, durationOption } from '../common/options.js';
import { timeoutText } from '../common/waiting/waiting.js';
import { QueueError } from '../errors.js';
import { aroundBroker, withVerbs } from './around-broker.js';

/** A recorded event of one message. */
export type RecordedEvent =
  /** Stored in the queue, or published to the exchange (`shop → order.placed`): its `send` has resolved. */
  | { readonly type: 'sent'; readonly queue: string; readonly id: string; readonly message: Message }
  /** Acknowledged: its handler has returned. */
  | ({ readonly type: 'handled' } & RecordedDelivery)
  /** Stored for another attempt. */
  | ({ readonly type: 'retried'; readonly failure: Failure } & RecordedDelivery)
  /** Postponed at no cost. */
  | ({ readonly type: 'postponed'; readonly delayMs: number } & RecordedDelivery)
  /** Moved to the dead-letter queue, or dropped if there is none. */
  | ({ readonly type: 'dead-lettered'; readonly failure: Failure } & RecordedDelivery)
  /** Returned to the queue unhandled. */
  | ({ readonly type: 'released' } & RecordedDelivery)
  /** Lost before it was settled; it is redelivered. */
  | ({ readonly type: 'lost'; readonly reason: Error } & RecordedDelivery);

/** The delivery that an event is about. */
export interface RecordedDelivery {
  /** The name of the queue. */
  readonly queue: string;
  /** The id of the message. */
  readonly id: string;
  /** The message as it was delivered. */
  readonly message: Message;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Whether it may have been delivered before. */
  readonly redelivered: boolean;
}

type Recorded<T extends RecordedEvent['type']> = Extract<RecordedEvent, { type: T }>;

/** The options of `createRecorder`. All have defaults. */
export interface RecorderOptions {
  /** How long a wait may take before it fails the test. Milliseconds. Default: 5000. */
  readonly timeoutMs?: number | undefined;
}

/** Lets a test wait for events instead of sleeping. Created by {@link createRecorder}. */
export interface Recorder {
  /** The broker to pass to the code under test, which records everything. Closing it closes the original broker. */
  readonly broker: Broker;
  /** All recorded events, in order. */
  readonly events: readonly RecordedEvent[];
  /**
   * Resolves to the first `count` messages stored in the queue, or published to the topic, of this name (of any name, if
   * none is given) as soon as there are that many. Rejects with `TIMEOUT`, like the other methods; the error lists the
   * events that were recorded instead.
   */
  sent(count: number, queue?: string): Promise<readonly Recorded<'sent'>[]>;
  /** Resolves when the message with this id is acknowledged; for an event with several subscriptions, name the queue. */
  handled(id: string, queue?: string): Promise<Recorded<'handled'>>;
  /** Resolves when its latest retry is stored. */
  retried(id: string, queue?: string): Promise<Recorded<'retried'>>;
  /** Resolves when it becomes a dead letter; the event says why. */
  deadLettered(id: string, queue?: string): Promise<Recorded<'dead-lettered'>>;
}

/**
 * Records the events of messages at the broker, including those of the producers and consumers that the code under test
 * creates itself.
 *
 * ```ts
 * const recorder = createRecorder(await openTestBroker());
 * await startShop(recorder.broker);
 * const { id } = await createProducer(recorder.broker, orders).send({ id: 'A-1', total: -1 });
 * const { failure } = await recorder.deadLettered(id);
 * ```
 *
 * It keeps all events and messages in memory: use it in tests only. Throws `INVALID_OPTION`.
 */
export function createRecorder(broker: Broker, options: RecorderOptions = {}): Recorder {
  checkOptionNames('createRecorder', options, ['timeoutMs']);
  const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { min: 1, default: 5000 });
  const events: RecordedEvent[] = [];
  const listeners = new Set<() => void>();
  /** Deliveries that are settled or lost. Later calls of their methods have no effect. */
  const over = new WeakSet<Delivery>();
  const record = (event: RecordedEvent, delivery?: Delivery) => {
    if (delivery !== undefined && over.has(delivery)) return;
    if (delivery !== undefined) over.add(delivery);
    events.push(event);
    for (const listener of listeners) listener();
  };

  /** Checks after each event until there is a result. */
  const until = <T>(what: string, ask: () => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const answer = () => {
        const found = ask();
        if (found === undefined) return false;
        clearTimeout(timer);
        listeners.delete(answer);
        resolve(found);
        return true;
      };
      const timer = setTimeout(() => {
        listeners.delete(answer);
        reject(new QueueError('TIMEOUT', `${what}: ${timeoutText(timeoutMs)}. Seen: ${show(events)}`));
      }, timeoutMs);
      listeners.add(answer);
      answer();
    });
  const last = <T extends RecordedEvent['type']>(type: T, id: string, queue?: string): Promise<Recorded<T>> =>
    until(`message ${id} ${type}${queue === undefined ? '' : ` in '${queue}'`}`, () =>
      events.findLast(
        (event): event is Recorded<T> =>
          event.type === type && event.id === id && (queue === undefined || event.queue === queue),
      ),
    );

  return {
    broker: aroundBroker(backendOf(broker), {
      onPublished: (to, message) => record({ type: 'sent', queue: nameOf(to), id: message.id, message }),
      delivery: (delivery, queue) => recordedDelivery(delivery, queue, record),
      onLost: (delivery, queue, reason) =>
        record({ type: 'lost', ...infoOf(delivery, queue), reason }, delivery),
    }),
    events,
    sent: (count, queue) =>
      until(`${count} messages sent${queue === undefined ? '' : ` to '${queue}'`}`, () => {
        const sent = events.filter(
          (event): event is Recorded<'sent'> =>
            event.type === 'sent' && (queue === undefined || isTo(event.queue, queue)),
        );
        return sent.length >= count ? sent.slice(0, count) : undefined;
      }),
    handled: (id, queue) => last('handled', id, queue),
    retried: (id, queue) => last('retried', id, queue),
    deadLettered: (id, queue) => last('dead-lettered', id, queue),
  };
}

function recordedDelivery(
  delivery: Delivery,
  queue: string,
  record: (event: RecordedEvent, delivery: Delivery) => void,
): Delivery {
  const info = infoOf(delivery, queue);
  return withVerbs(delivery, {
    ack: () => {
      delivery.ack();
      record({ type: 'handled', ...info }, delivery);
    },
    retry: async (delayMs, failure) => {
      await delivery.retry(delayMs, failure);
      record({ type: 'retried', ...info, failure }, delivery);
    },
    postpone: async (delayMs) => {
      await delivery.postpone(delayMs);
      record({ type: 'postponed', ...info, delayMs }, delivery);
    },
    deadLetter: async (failure) => {
      await delivery.deadLetter(failure);
      record({ type: 'dead-lettered', ...info, failure }, delivery);
    },
    release: () => {
      delivery.release();
      record({ type: 'released', ...info }, delivery);
    },
  });
}

function infoOf({ message, attempt, redelivered }: Delivery, queue: string): RecordedDelivery {
  return { queue, id: message.id, message, attempt, redelivered };
}

/** On the default exchange the routing key is the queue's name. */
function nameOf({ exchange, routingKey }: Destination): string {
  return exchange === '' ? routingKey : `${exchange} → ${routingKey}`;
}

/** Whether a message that was sent there was sent to this queue, or published to this exchange. */
function isTo(there: string, name: string): boolean {
  return there === name || there.startsWith(`${name} → `);
}

const SHOWN = 20;

function show(events: readonly RecordedEvent[]): string {
  if (events.length === 0) return 'nothing';
  const lines = events
    .slice(-SHOWN)
    .map((event) =>
      'failure' in event
        ? `${event.type} ${event.id} from '${event.queue}' (${event.failure.error})`
        : `${event.type} ${event.id} ${event.type === 'sent' ? 'to' : 'from'} '${event.queue}'`,
    );
  const before = events.length > SHOWN ? `${events.length - SHOWN} events, then ` : '';
  return before + lines.join('; ');
}
