/** Where the messages of a schedule go: to a queue, or to a topic as one of its events. */
import type { Backend, Destination, Message, WaitOptions } from '../broker.js';
import { quote } from '../common/options.js';
import { QueueError } from '../errors.js';
import type { EncodedValue, Queue } from '../queue.js';
import { declareTopic } from '../topics/publisher.js';
import type { Topic } from '../topics/topic.js';

/** Where the messages of a schedule go. */
export interface ScheduleTarget {
  /** The kind of target. */
  readonly kind: 'queue' | 'topic';
  /** The name of the queue or topic. */
  readonly name: string;
  /** The exchange and the routing key of the messages. */
  readonly to: Destination;
  /** Whether it is an error that no queue takes a message: then its topology is declared again. */
  readonly mandatory: boolean;
  /** Declares the queue or the topic. Rejects as they do. */
  declare(broker: Backend, wait?: WaitOptions): Promise<void>;
}

/** A target, and how its messages are made. */
export interface MessageTarget {
  readonly target: ScheduleTarget;
  readonly compress: Queue<unknown, unknown>['compress'];
  /** The properties that the target determines. */
  readonly routed: Pick<Message, 'origin' | 'type'>;
  encode(value: unknown): EncodedValue | Promise<EncodedValue>;
}

/** Throws `INVALID_OPTION`. */
export function queueTarget(
  queue: Pick<Queue<never, unknown>, 'name' | 'spec' | 'encode' | 'compress'>,
): MessageTarget {
  const { name, spec, compress } = queue;
  return {
    target: {
      kind: 'queue',
      name,
      to: { exchange: '', routingKey: name },
      mandatory: true,
      declare: (broker, wait) => broker.declare(spec, wait),
    },
    compress: compress as MessageTarget['compress'],
    routed: {},
    encode: (value) => queue.encode(value as never),
  };
}

/** Throws `INVALID_OPTION`. */
export function topicTarget(topic: Topic, event: unknown): MessageTarget {
  const { name, unrouted, compress } = topic;
  if (typeof event !== 'string' || !Object.hasOwn(topic.events, event)) {
    const names = Object.keys(topic.events).map(quote).join(', ');
    throw new QueueError(
      'INVALID_OPTION',
      `publish: the topic '${name}' has no event ${quote(event)}; its events are ${names}`,
    );
  }
  const to = Object.freeze({ exchange: name, routingKey: event });
  return {
    target: {
      kind: 'topic',
      name,
      to,
      mandatory: unrouted !== 'ignore',
      declare: (broker, wait = {}) => declareTopic(broker, topic, wait),
    },
    compress,
    routed: { origin: to, type: event },
    encode: (value) => (topic.events[event] as Topic['events'][string]).encode(value),
  };
}
