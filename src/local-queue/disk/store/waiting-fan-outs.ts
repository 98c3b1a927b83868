import type { Destination } from '../../../broker.js';
import { type Linked, LinkedList } from '../../../common/linked-list.js';
import { FanOutLines } from '../../fan-out-lines.js';
import type { MessageColumns } from './message-columns.js';

/** A message that waits until there is room in all its queues. */
export class WaitingFanOut implements Linked<WaitingFanOut> {
  list: LinkedList<WaitingFanOut> | undefined = undefined;
  previous: WaitingFanOut | undefined = undefined;
  next: WaitingFanOut | undefined = undefined;
  /** The request that is answered when it is in. Requests have growing numbers. */
  readonly id: number;
  readonly to: Destination;
  /** Whether it is no error if no queue takes it. */
  readonly isOptional: boolean;
  readonly what: { readonly columns: MessageColumns; readonly rank: number };

  constructor(id: number, to: Destination, isOptional: boolean, what: WaitingFanOut['what']) {
    this.id = id;
    this.to = to;
    this.isOptional = isOptional;
    this.what = what;
  }

  get number(): number {
    return this.id;
  }
}

/** The messages that wait until there is room in all their queues. */
export class WaitingFanOuts {
  readonly #byId = new Map<number, WaitingFanOut>();
  readonly #lines = new FanOutLines<WaitingFanOut, LinkedList<WaitingFanOut>>(
    () => new LinkedList(),
    (waiting) => waiting,
  );

  get size(): number {
    return this.#byId.size;
  }

  get destinations(): Destination[] {
    return this.#lines.destinations;
  }

  add(waiting: WaitingFanOut): void {
    this.#byId.set(waiting.id, waiting);
    this.#lines.lineTo(waiting.to).append(waiting);
  }

  /** False if it does not wait any more. */
  remove(id: number): boolean {
    const waiting = this.#byId.get(id);
    waiting?.list?.remove(waiting);
    return this.#byId.delete(id);
  }

  /** As {@link FanOutLines.serve}. What is taken waits no longer. */
  serve(take: (waiting: WaitingFanOut) => boolean): void {
    this.#lines.serve((waiting) => take(waiting) && this.remove(waiting.id));
  }
}
