import type { BrokerEvent } from '../../broker.js';
import { Deadlines } from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { onOwnChannel, request } from '../connection/request.js';
import { LOST } from '../wire/origin.js';
import type { QueueDeclarer } from './queue-declarer.js';

/** How long after its due time a message is in its queue, or among the lost ones, unless the broker is busy. */
const ARRIVED_AFTER_MS = 2000;
/** How often to check while a busy broker may still be moving messages that are due, and for how long. */
const CHECK_DUE_EVERY_MS = 5000;
const CHECK_DUE_FOR_MS = 60_000;
/** Messages of other processes are lost at any time, and clocks differ. */
const CHECK_EVERY_MS = 60_000;

interface Parts {
  readonly link: ReconnectingConnection;
  readonly declarer: QueueDeclarer;
  readonly observe: (event: BrokerEvent) => void;
  /** The queues to which this process has sent delayed messages. */
  readonly targets: () => Iterable<string>;
}

/**
 * Reports messages whose queue no longer existed when they were due and which ended in the queue for lost ones. Its
 * count is checked when messages of this process are due; the messages themselves are not read, since each reading
 * would count as a return.
 */
export class LostDelays {
  readonly #parts: Parts;
  readonly #deadlines = new Deadlines(() => this.#isDue());
  /** How many there were. Undefined: not known yet. */
  #known: number | undefined;
  /** Until then messages of this process may still be on their way, on the clock of `performance.now()`. */
  #dueUntil = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** A message is about to wait for that long. */
  expect(seconds: number): void {
    const now = performance.now();
    const waitMs = Math.min(1000 * seconds + ARRIVED_AFTER_MS, CHECK_EVERY_MS);
    this.#dueUntil = Math.max(this.#dueUntil, now + waitMs + CHECK_DUE_FOR_MS);
    this.#deadlines.add(now + waitMs);
    if (this.#known === undefined) this.#look();
  }

  #isDue(): number {
    this.#look();
    const now = performance.now();
    return now + (now < this.#dueUntil ? CHECK_DUE_EVERY_MS : CHECK_EVERY_MS);
  }

  #look(): void {
    this.#looking ??= this.#compare()
      // If the check fails now, it is repeated.
      .catch((error) => {
        if (isQueueError(error, 'CLOSED')) this.#deadlines.stop();
      })
      .finally(() => {
        this.#looking = undefined;
      });
  }

  async #compare(): Promise<void> {
    const { link, observe } = this.#parts;
    const subject = { what: 'counting lost messages', name: LOST };
    const { messageCount } = await request(link, subject, {}, (connection) =>
      onOwnChannel(connection, (channel) => channel.checkQueue(LOST)),
    );
    const before = this.#known ?? messageCount;
    this.#known = messageCount;
    if (messageCount <= before) return;
    observe({ type: 'delay-lost', count: messageCount - before, queues: await this.#missing() });
  }

  async #missing(): Promise<string[]> {
    const { link, declarer, targets } = this.#parts;
    const missing: string[] = [];
    for (const name of targets()) {
      const subject = { what: `finding '${name}'`, name };
      try {
        await request(link, subject, {}, (connection) => declarer.check(connection, name), 1);
      } catch (error) {
        if (isQueueError(error, 'QUEUE_MISSING')) missing.push(name);
      }
    }
    return missing;
  }
}
