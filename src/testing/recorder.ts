import type { Broker, Delivery, Destination, Failure, Message } from '../broker.js';
import { timeoutText } from '../common/limits.js';
import { backendOf, checkOptionNames, durationOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import { aroundBroker, withVerbs } from './around-broker.js';

/** What a recorder has seen of one message. */
export type RecordedEvent =
  /** Stored in the queue, or published to the exchange (`shop → order.placed`): what a `send` that resolves means. */
  | { readonly type: 'sent'; readonly queue: string; readonly id: string; readonly message: Message }
  /** Acknowledged: its handler has returned. */
  | ({ readonly type: 'handled' } & RecordedDelivery)
  /** Stored for another attempt. */
  | ({ readonly type: 'retried'; readonly failure: Failure } & RecordedDelivery)
  /** Put off at no cost. */
  | ({ readonly type: 'postponed'; readonly delayMs: number } & RecordedDelivery)
  /** Moved to the dead-letter queue, or dropped where there is none. */
  | ({ readonly type: 'dead-lettered'; readonly failure: Failure } & RecordedDelivery)
  /** Returned to the queue unhandled. */
  | ({ readonly type: 'released' } & RecordedDelivery)
  /** Taken away before it was settled; it comes again. */
  | ({ readonly type: 'lost'; readonly reason: Error } & RecordedDelivery);

/** The delivery that an event is about. */
export interface RecordedDelivery {
  /** The name of the queue. */
  readonly queue: string;
  /** The id of the message. */
  readonly id: string;
  /** The message as it was delivered. */
  readonly message: Message;
  /** 1 on the first try. */
  readonly attempt: number;
  /** Whether it may have been handed out before. */
  readonly redelivered: boolean;
}

type Recorded<T extends RecordedEvent['type']> = Extract<RecordedEvent, { type: T }>;

/** What `createRecorder` takes. All have defaults. */
export interface RecorderOptions {
  /** How long a wait may take before it fails the test. Milliseconds. Default: 5000. */
  readonly timeoutMs?: number | undefined;
}

/** Waits for facts, in place of sleeping until they are likely. Made by {@link createRecorder}. */
export interface Recorder {
  /** The broker to hand to the code under test: what goes through it is recorded. Closing it closes the other. */
  readonly broker: Broker;
  /** Everything that was recorded, in order. */
  readonly events: readonly RecordedEvent[];
  /**
   * The first `count` messages that were stored in the queue, or published to the topic, of this name (in any, where none
   * is named), as soon as there are so many. Rejects with `TIMEOUT`, as the others do; the error lists what was seen instead.
   */
  sent(count: number, queue?: string): Promise<readonly Recorded<'sent'>[]>;
  /** How the message of this id was acknowledged; of several subscriptions, by that of the queue. */
  handled(id: string, queue?: string): Promise<Recorded<'handled'>>;
  /** How its last retry was stored. */
  retried(id: string, queue?: string): Promise<Recorded<'retried'>>;
  /** How it became a dead letter, and why. */
  deadLettered(id: string, queue?: string): Promise<Recorded<'dead-lettered'>>;
}

/**
 * Records what happens to messages, at the broker: the code under test needs no change, and what it does with
 * its own producers and consumers is recorded as well.
 *
 * ```ts
 * const recorder = createRecorder(await openTestBroker());
 * await startShop(recorder.broker);
 * const { id } = await createProducer(recorder.broker, orders).send({ id: 'A-1', total: -1 });
 * const { failure } = await recorder.deadLettered(id);
 * ```
 *
 * It keeps all it has seen, messages included: for tests, not for services. Throws `INVALID_OPTION`.
 */
export function createRecorder(broker: Broker, options: RecorderOptions = {}): Recorder {
  checkOptionNames('createRecorder', options, ['timeoutMs']);
  const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { min: 1, default: 5000 });
  const events: RecordedEvent[] = [];
  const listeners = new Set<() => void>();
  /** Settled or lost: what is done to them afterwards does nothing. */
  const over = new WeakSet<Delivery>();
  const record = (event: RecordedEvent, delivery?: Delivery) => {
    if (delivery !== undefined && over.has(delivery)) return;
    if (delivery !== undefined) over.add(delivery);
    events.push(event);
    for (const listener of listeners) listener();
  };

  /** Asks after each event until the answer is there. */
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
