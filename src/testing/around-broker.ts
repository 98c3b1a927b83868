import type { Backend, Delivery, Destination, Message, QueueSpec } from '../broker.js';

/** Hooks around the methods of a broker. */
interface Around {
  /** Returns the queue to declare instead. */
  readonly declare?: (queue: QueueSpec) => QueueSpec;
  /** Called when a message is stored. */
  readonly onPublished?: (to: Destination, message: Message) => void;
  /** Returns the delivery to pass to the subscriber instead. */
  readonly delivery?: (delivery: Delivery, queue: string) => Delivery;
  /** Called when a delivery was taken away before it was settled. */
  readonly onLost?: (delivery: Delivery, queue: string, reason: Error) => void;
}

/** The same broker with hooks around its methods. */
export function aroundBroker(broker: Backend, around: Around): Backend {
  const { declare, onPublished, delivery: replace = (delivery: Delivery) => delivery, onLost } = around;
  return {
    get url() {
      return broker.url;
    },
    get state() {
      return broker.state;
    },
    get outage() {
      return broker.outage;
    },
    get counts() {
      return broker.counts;
    },
    get maxMessageBytes() {
      return broker.maxMessageBytes;
    },
    declare: (queue, options) => broker.declare(declare?.(queue) ?? queue, options),
    declareExchange: (exchange, options) => broker.declareExchange(exchange, options),
    removeExchange: (exchange, options) => broker.removeExchange(exchange, options),
    listBindings: (queue, options) => broker.listBindings(queue, options),
    publish: async (to, message, options) => {
      const isRouted = await broker.publish(to, message, options);
      if (isRouted) onPublished?.(to, message);
      return isRouted;
    },
    subscribe: (queue, options, onDelivery) => {
      /** The replacement of each delivery, so that its loss is reported with the same object. */
      const handedOut = new WeakMap<Delivery, Delivery>();
      return broker.subscribe(
        queue,
        {
          ...options,
          onLost: (lost, reason) => {
            const delivery = handedOut.get(lost) ?? lost;
            onLost?.(lost, queue, reason);
            options.onLost?.(delivery, reason);
          },
        },
        (original) => {
          const delivery = replace(original, queue);
          handedOut.set(original, delivery);
          onDelivery(delivery);
        },
      );
    },
    receiveReplies: (listener) => broker.receiveReplies(listener),
    openState: async (name, options, wait) => {
      const state = await broker.openState(name, options, wait);
      return {
        set: async (value, publishing) => {
          const isSet = await state.set(value, publishing);
          if (isSet && publishing !== undefined) onPublished?.(publishing.to, publishing.message);
          return isSet;
        },
        close: () => state.close(),
      };
    },
    removeState: (name, wait) => broker.removeState(name, wait),
    takeStarts: broker.takeStarts?.bind(broker),
    viewState: (name, wait) => broker.viewState(name, wait),
    inspect: (queue, options) => broker.inspect(queue, options),
    purge: (queue, options) => broker.purge(queue, options),
    remove: (queue, options) => broker.remove(queue, options),
    operator: broker.operator,
    close: () => broker.close(),
    [Symbol.asyncDispose]: () => broker.close(),
  };
}

/** The methods by which a subscriber settles. */
type Verbs = Pick<Delivery, 'ack' | 'retry' | 'postpone' | 'deadLetter' | 'release'>;

/** The same delivery, with some methods replaced. */
export function withVerbs(delivery: Delivery, verbs: Partial<Verbs>): Delivery {
  const { message, attempt, redelivered, settleWithinMs, receivedAt } = delivery;
  return {
    message,
    attempt,
    redelivered,
    settleWithinMs,
    receivedAt,
    ack: () => delivery.ack(),
    retry: (delayMs, failure) => delivery.retry(delayMs, failure),
    postpone: (delayMs) => delivery.postpone(delayMs),
    deadLetter: (failure) => delivery.deadLetter(failure),
    release: () => delivery.release(),
    ...verbs,
  };
}
