import type { Publishing, SharedStateView } from '../../broker.js';
import { checkPublishing } from '../../common/message/create-and-check.js';
import type { Exchanges } from '../exchanges.js';
import { takeIn, unroutable } from '../local-broker.js';
import { type SharedStateStore, viewOf } from '../merged-state.js';
import type { FanOuts } from './fan-out.js';
import type { MemoryQueue } from './queue.js';
import { dueOf, StoredMessage } from './stored-message.js';

/** Stores a message, or throws. */
type NowPublisher = (publishing: Publishing) => void;

/** Where a broker stores messages. */
interface Parts {
  queueNamed(name: string): MemoryQueue | undefined;
  readonly exchanges: Pick<Exchanges<MemoryQueue>, 'route'>;
  readonly fanOuts: FanOuts;
}

/** A publisher that never waits: it throws `FULL`, `UNROUTABLE`, `TOO_LARGE` and `INVALID_MESSAGE`. */
export function nowPublisher(
  { queueNamed, exchanges, fanOuts }: Parts,
  maxMessageBytes: number,
): NowPublisher {
  return ({ to, message, mandatory }) => {
    checkPublishing(to, message, maxMessageBytes);
    const stored = takeIn(message, to);
    const queue = to.exchange === '' ? queueNamed(to.routingKey) : undefined;
    const queues = to.exchange === '' ? undefined : exchanges.route(to);
    if (queue !== undefined)
      queue.enter(new StoredMessage(stored, 1, false, dueOf(message)), { noWait: true });
    else if (queues?.length) fanOuts.publishNow(stored, queues);
    else if (mandatory) throw unroutable(to, message.id, queues !== undefined);
  };
}

/** The shared states of a broker in memory, by name. */
export class StoredStates {
  readonly #values = new Map<string, string>();

  /** `check` throws if the broker can no longer be used. */
  store(name: string, publish: NowPublisher, check: () => void): SharedStateStore {
    const values = this.#values;
    return {
      read: async () => {
        check();
        return values.get(name);
      },
      change: async ({ from, to, publishing }) => {
        check();
        const before = values.get(name);
        if (before !== from) return before;
        if (publishing !== undefined) publish(publishing);
        values.set(name, to);
        return before;
      },
    };
  }

  remove(name: string): boolean {
    return this.#values.delete(name);
  }

  view(name: string): SharedStateView {
    return viewOf(this.#values.get(name));
  }
}
