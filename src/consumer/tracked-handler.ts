import type { Backend, Message } from '../broker.js';
import { isThenable } from '../common/options.js';
import { type RunningHandler, runAs, runningHandler } from '../common/running-handler.js';
import type { Queue } from '../queue.js';
import type { Handler, HandlerContext } from './consumer.js';
import type { ConsumerSettings } from './consumer-options.js';
import { checkKeys, type KeyOf } from './pace/line.js';

/**
 * The same handler, for as long as there are requesters (`handlerTracking`): lets the requests of a handler find out
 * whether only that handler itself could answer them.
 */
export function trackedHandler<Out>(
  handler: Handler<Out>,
  broker: Backend,
  queue: Pick<Queue<never, Out>, 'name' | 'decode'>,
  { concurrency, key }: Pick<ConsumerSettings<Out>, 'concurrency' | 'key'>,
): Handler<Out> {
  if (concurrency > 1 && key === undefined) {
    // On a local queue it runs in the context of whatever started its consumer, which may be another handler.
    return (value, context) =>
      runningHandler() === undefined
        ? handler(value, context)
        : runAs(undefined, () => handler(value, context));
  }
  return (value, context) => {
    // Now, since a handler may change the value.
    const keyed = concurrency === 1 || key === undefined ? undefined : { key, held: keysOf(key, value) };
    const run = new TrackedRun(broker, queue, context, keyed);
    const returned = runAs(run, () => handler(value, context));
    // What a handler has started may still make requests after its end: nothing holds those up.
    if (!isThenable(returned)) {
      run.end();
      return returned;
    }
    // Once: `then` is what runs the query of a query builder.
    const settled = Promise.resolve(returned);
    settled.then(run.end, run.end);
    return settled;
  };
}

interface HeldKeys<Out> {
  readonly key: KeyOf<Out>;
  readonly held: readonly string[];
}

class TrackedRun<Out> implements RunningHandler {
  readonly #broker: Backend;
  readonly #queue: Pick<Queue<never, Out>, 'name' | 'decode'>;
  readonly #context: HandlerContext;
  /** Undefined: it holds up every message of the queue. */
  readonly #keyed: HeldKeys<Out> | undefined;
  #hasEnded = false;

  constructor(
    broker: Backend,
    queue: Pick<Queue<never, Out>, 'name' | 'decode'>,
    context: HandlerContext,
    keyed: HeldKeys<Out> | undefined,
  ) {
    this.#broker = broker;
    this.#queue = queue;
    this.#context = context;
    this.#keyed = keyed;
  }

  readonly end = (): void => {
    this.#hasEnded = true;
  };

  async holdsUp(broker: Backend, queue: string, message: Message): Promise<boolean> {
    if (queue !== this.#queue.name || !isSame(broker, this.#broker)) return false;
    if (this.#keyed !== undefined && !(await this.#sharesKey(message, this.#keyed))) return false;
    // Another consumer, in this process or elsewhere, could take it.
    const { consumers } = await broker.inspect(queue);
    // After its time limit, or after its message was taken away, a handler holds up nothing.
    return consumers <= 1 && !this.#hasEnded && !this.#context.signal.aborted;
  }

  async #sharesKey(message: Message, { key, held }: HeldKeys<Out>): Promise<boolean> {
    const decoded = await this.#queue.decode(message, this.#broker.maxMessageBytes);
    return decoded.ok && keysOf(key, decoded.value).some((other) => held.includes(other));
  }
}

/** None where they can't be had: such a message becomes a dead letter without waiting. */
function keysOf<Out>(key: KeyOf<Out>, value: Out): readonly string[] {
  try {
    return [...checkKeys(key(value))];
  } catch {
    return [];
  }
}

/** Brokers in memory share a URL and nothing else. */
function isSame(one: Backend, other: Backend): boolean {
  return one === other || (one.url === other.url && one.url !== 'local:');
}
