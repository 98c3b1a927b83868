import { EventEmitter } from 'node:events';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { Connection } from '../../../src/rabbitmq/connection/connection.js';

type Wire = (() => void)[];

/**
 * A queue, a channel and one consumer as RabbitMQ has them: three parties that know of each other only what has
 * arrived over the wires between them, which `pump` carries a piece at a time.
 */
export class ModelBroker {
  /** What no broker may be told: tags that it does not know, or several at once that were not all acknowledged. */
  readonly violations: string[] = [];
  readonly acked = new Set<number>();
  readonly dropped = new Set<number>();
  /** What the client's handlers are done with, kept by the test. */
  readonly done = new Set<number>();
  readonly connection: Connection;

  readonly #isQuorum: boolean;
  readonly #events = new EventEmitter().setMaxListeners(0);
  /** Messages are numbers, in the order of their publishing. */
  #ready: number[];
  #returned: number[] = [];
  /** Taken by the consumer, as the queue knows. */
  readonly #taken = new Set<number>();
  #isServed = true;
  /** As the channel knows: which messages its tags mean. */
  readonly #unacked = new Map<number, number>();
  #hasConsumer = false;
  #lastTag = 0;
  #isGone = false;
  #prefetch = 0;
  #onMessage: (message: ConsumeMessage | null) => void = () => {};

  readonly wires: Record<'toChannel' | 'toQueue' | 'fromQueue' | 'toClient', Wire> = {
    toChannel: [],
    toQueue: [],
    fromQueue: [],
    toClient: [],
  };

  constructor(type: 'quorum' | 'classic', messages: number) {
    this.#isQuorum = type === 'quorum';
    this.#ready = Array.from({ length: messages }, (_, index) => index);
    this.connection = {
      version: { countsFailuresOnly: true, limitsDeliveries: true },
      failure: undefined,
      openChannel: async () => this.#channel(),
      receive: () => () => {},
    } as unknown as Connection;
  }

  /** What would be delivered next, in that order. */
  get queue(): number[] {
    return [...this.#returned, ...this.#ready];
  }

  /** Carries one piece over a wire. */
  pump(wire: keyof ModelBroker['wires']): void {
    this.wires[wire].shift()?.();
  }

  pumpAll(): void {
    const wires = Object.keys(this.wires) as (keyof ModelBroker['wires'])[];
    while (wires.some((wire) => this.wires[wire].length > 0)) for (const wire of wires) this.pump(wire);
  }

  /** The channel is gone at once, with all that is on its way. */
  lose(): void {
    if (this.#isGone) return;
    this.#end();
    this.wires.toClient.length = 0;
    this.#events.emit('error', new Error('the channel was lost'));
    this.#events.emit('close');
  }

  /** Ends the consumer, as for a message that takes too long. */
  cancelConsumer(): void {
    this.wires.toClient.push(() => this.#onMessage(null));
  }

  #channel(): Channel {
    const tell = (what: () => void) => {
      if (this.#isGone) return;
      this.wires.toChannel.push(what);
    };
    const ask = <T>(answer: (reply: (value: T) => void) => void) =>
      new Promise<T>((resolve, reject) => {
        if (this.#isGone) reject(new Error('the channel is closed'));
        this.#events.once('close', () => reject(new Error('the channel was closed')));
        tell(() => answer((value) => this.wires.toClient.push(() => resolve(value))));
      });
    const settle = (tag: number, multiple: boolean, how: (messages: number[]) => void) =>
      tell(() => how(this.#collect(tag, multiple)));
    const channel = {
      prefetch: async (count: number) => {
        this.#prefetch = count;
      },
      consume: async (_: string, onMessage: (message: ConsumeMessage | null) => void) => {
        this.#onMessage = onMessage;
        this.#hasConsumer = true;
        this.#serve();
      },
      ack: ({ fields }: ConsumeMessage, multiple: boolean) =>
        settle(fields.deliveryTag, multiple, (messages) => {
          for (const message of messages) {
            if (!this.done.has(message)) this.violations.push(`acknowledged ${message}, which is not done`);
          }
          this.#toQueue(messages, (message) => this.acked.add(message));
        }),
      nack: ({ fields }: ConsumeMessage, multiple: boolean) =>
        settle(fields.deliveryTag, multiple, (messages) => this.#return(messages)),
      nackAll: () => tell(() => this.#return(this.#collect(0, true))),
      reject: ({ fields }: ConsumeMessage, requeue: boolean) =>
        settle(fields.deliveryTag, false, (messages) => {
          if (requeue) this.#return(messages);
          else this.#toQueue(messages, (message) => this.dropped.add(message));
        }),
      checkQueue: () =>
        ask<{ messageCount: number; consumerCount: number }>((reply) =>
          // Asked of the queue, and answered behind what it sent before.
          this.wires.fromQueue.push(
            (
              (messageCount, consumerCount) => () =>
                reply({ messageCount, consumerCount })
            )(this.queue.length, this.#isServed || this.#taken.size > 0 ? 1 : 0),
          ),
        ),
      cancel: () =>
        ask<void>((reply) => {
          this.#hasConsumer = false;
          this.wires.toQueue.push(() => {
            this.#isServed = false;
            this.wires.fromQueue.push(() => reply());
          });
        }),
      close: () =>
        ask<void>((reply) => {
          this.#end();
          reply();
        }),
    };
    return Object.assign(this.#events, channel) as unknown as Channel;
  }

  #end(): void {
    this.#isGone = true;
    // What was settled before the channel ended is processed before its end.
    while (this.wires.toQueue.length > 0) this.pump('toQueue');
    this.#isServed = false;
    this.#putBack([...this.#taken].sort((a, b) => a - b));
    this.wires.toChannel.length = 0;
    this.wires.fromQueue.length = 0;
  }

  /** The messages that a settlement means. */
  #collect(tag: number, multiple: boolean): number[] {
    const tags = multiple ? [...this.#unacked.keys()].filter((each) => tag === 0 || each <= tag) : [tag];
    return tags.map((each) => {
      const message = this.#unacked.get(each);
      this.#unacked.delete(each);
      if (message === undefined) this.violations.push(`settled the unknown tag ${each}`);
      return message ?? -1;
    });
  }

  #toQueue(messages: readonly number[], settle: (message: number) => void): void {
    this.wires.toQueue.push(() => {
      for (const message of messages) {
        this.#taken.delete(message);
        settle(message);
      }
      this.#serve();
    });
  }

  #return(messages: readonly number[]): void {
    this.wires.toQueue.push(() => {
      this.#putBack(messages);
      this.#serve();
    });
  }

  #putBack(messages: readonly number[]): void {
    for (const message of messages) this.#taken.delete(message);
    if (this.#isQuorum) this.#returned.push(...messages);
    else this.#ready = [...messages, ...this.#ready].sort((a, b) => a - b);
  }

  #serve(): void {
    while (this.#isServed && this.#taken.size < this.#prefetch) {
      const message = this.#returned.shift() ?? this.#ready.shift();
      if (message === undefined) return;
      this.#taken.add(message);
      this.wires.fromQueue.push(() => this.#deliver(message));
    }
  }

  /** The channel gives back at once what comes for a consumer that it does not know any more. */
  #deliver(message: number): void {
    if (!this.#hasConsumer) {
      this.#return([message]);
      return;
    }
    const deliveryTag = ++this.#lastTag;
    this.#unacked.set(deliveryTag, message);
    const content = Buffer.from(String(message));
    this.wires.toClient.push(() =>
      this.#onMessage({ fields: { deliveryTag }, properties: {}, content } as unknown as ConsumeMessage),
    );
  }
}
