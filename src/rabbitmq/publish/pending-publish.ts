import type { Options } from 'amqplib';
import type { PublishOptions } from '../../broker.js';
import { onAbort, timeoutText } from '../../common/limits.js';
import type { Linked, LinkedList } from '../../common/linked-list.js';
import { QueueError } from '../../errors.js';
import { asResent, type WireMessage } from '../wire/amqp-message.js';
import type { BoundedTarget } from './bounded-target.js';

/** Whom the messages of one publisher tell what concerns more than their senders. */
export interface OutgoingListener {
  /** Its signal was aborted. */
  onAborted(outgoing: PendingPublish): void;
  /** Its sender knows what became of it, or is about to. */
  onSettled(): void;
  /** There was no queue, or no exchange, where it was to go. Its sender is told after this. */
  onUnroutable(outgoing: PendingPublish): void;
}

/**
 * One message on its way to the broker, and the promise of its sender.
 *
 *   waiting ──sent──► unconfirmed ──confirmed──► settled
 *      ▲                   │                        ▲
 *      └── link lost, ─────┘                        │
 *          refused for now ('nack')                 │
 *      └── time limit, signal, refusal, close ──────┘   from both states
 *
 * A settled message that is still unconfirmed keeps its place in the window until the broker has answered.
 */
export class PendingPublish implements Linked<PendingPublish> {
  readonly wire: WireMessage;
  /** Where it stands among all messages of its publisher. */
  readonly position: number;
  readonly noWait: boolean;
  /** When its time is over, on the clock of `performance.now()`; `Infinity`: never. */
  readonly deadline: number;

  /** It was handed over and no answer came: it may be stored, whatever happens later. */
  uncertain = false;
  /** On the wire, unanswered. */
  unconfirmed = false;
  settled = false;
  /** What the broker said when it sent the message back; then comes its confirmation all the same. */
  returned: string | undefined = undefined;
  /** The lane that it was sent in, where its target has one. */
  lane: BoundedTarget | undefined = undefined;
  list: LinkedList<PendingPublish> | undefined = undefined;
  previous: PendingPublish | undefined = undefined;
  next: PendingPublish | undefined = undefined;

  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #unlisten: (() => void) | undefined;
  readonly #listener: OutgoingListener;
  readonly #resolve: () => void;
  readonly #reject: (error: QueueError) => void;

  constructor(
    wire: WireMessage,
    position: number,
    { signal, timeoutMs = Number.POSITIVE_INFINITY, noWait = false }: PublishOptions,
    resolve: () => void,
    reject: (error: QueueError) => void,
    listener: OutgoingListener,
  ) {
    this.wire = wire;
    this.position = position;
    this.noWait = noWait;
    this.deadline = timeoutMs === Number.POSITIVE_INFINITY ? timeoutMs : performance.now() + timeoutMs;
    this.#timeoutMs = timeoutMs;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#listener = listener;
    if (signal !== undefined) this.#unlisten = onAbort(signal, () => listener.onAborted(this));
  }

  /** The properties to send it with: a second sending is marked as one. */
  get options(): Options.Publish {
    return this.uncertain ? asResent(this.wire.options) : this.wire.options;
  }

  get target(): string {
    const { exchange, routingKey } = this.wire;
    return exchange === ''
      ? `the queue '${routingKey}'`
      : `the exchange '${exchange}' with key '${routingKey}'`;
  }

  confirm(): void {
    if (this.returned !== undefined) {
      this.fail('UNROUTABLE', `no queue takes it (${this.returned}); declare the queue first`);
    } else if (this.#settle()) {
      this.#resolve();
    }
  }

  /** Rejects it for a reason that says by itself that nothing was stored, or that this is unknown. */
  fail(code: QueueError['code'], why: string, cause?: unknown): void {
    if (!this.#settle()) return;
    if (code === 'UNROUTABLE') this.#listener.onUnroutable(this);
    this.#reject(new QueueError(code, `message ${this.wire.id} to ${this.target}: ${why}`, { cause }));
  }

  /** Ends its wait: with `code` where certainly nothing was stored, else with `UNCONFIRMED`. */
  giveUp(code: QueueError['code'], why: string, cause?: unknown): void {
    if (!this.uncertain && !this.unconfirmed) {
      this.fail(code, `${why}; nothing was stored`, cause);
    } else {
      const reason = new QueueError(code, why, { cause });
      this.fail('UNCONFIRMED', `${why}, and it may have arrived: no confirmation came`, reason);
    }
  }

  expire(): void {
    this.giveUp('TIMEOUT', timeoutText(this.#timeoutMs, 'not stored'));
  }

  abort(): void {
    this.giveUp('ABORTED', 'aborted', this.#signal?.reason);
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.#unlisten?.();
    this.#listener.onSettled();
    return true;
  }
}
