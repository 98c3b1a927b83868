import type { Backend, Message } from '../broker.js';
import { type RunningHandler, runAs, runningHandler } from '../common/hooks/running-handler.js';
import { isThenable } from '../common/options.js';
import type { Queue } from '../queue.js';
import type { Handler, HandlerContext } from './consumer.js';
import type { ConsumerSettings } from './consumer-options.js';
import { checkKeys, type KeyOf } from './pace/line.js';

/**
 * The same handler, used while there are requesters (`handlerTracking`): lets a request made inside a handler find out
 * whether only that handler could answer it.
 */
export function trackedHandler<Out>(
  handler: Handler<Out>,
  broker: Backend,
  queue: Pick<Queue<never, Out>, 'name' | 'decode'>,
  { concurrency, key }: Pick<ConsumerSettings<Out>, 'concurrency' | 'key'>,
): Handler<Out> {
  if (concurrency > 1 && key === undefined) {
    // On a local queue it runs in the async context that started its consumer, which may be another handler's.
    return (value, context) =>
      runningHandler() === undefined
        ? handler(value, context)
        : runAs(undefined, () => handler(value, context));
  }
  return (value, context) => {
    // Computed now, since a handler may change the value.
    const keyed = concurrency === 1 || key === undefined ? undefined : { key, held: keysOf(key, value) };
    const run = new TrackedRun(broker, queue, context, keyed);
    const returned = runAs(run, () => handler(value, context));
    // Work that a handler started may make requests after the handler has ended: these can't deadlock.
    if (!isThenable(returned)) {
      run.end();
      return returned;
    }
    // Called once only: with a query builder, `then` runs the query.
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
  /** Undefined: it blocks every message of the queue. */
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
    // Another consumer, in this process or elsewhere, could take the request.
    const { consumers } = await broker.inspect(queue);
    // After its time limit, or after its message was taken away, a handler blocks nothing.
    return consumers <= 1 && !this.#hasEnded && !this.#context.signal.aborted;
  }

  async #sharesKey(message: Message, { key, held }: HeldKeys<Out>): Promise<boolean> {
    const decoded = await this.#queue.decode(message, this.#broker.maxMessageBytes);
    return decoded.ok && keysOf(key, decoded.value).some((other) => held.includes(other));
  }
}

/** No keys if they can't be computed: such a message becomes a dead letter without waiting. */
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
