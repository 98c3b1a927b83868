import type { Outage, PublishOptions } from '../../broker.js';
import { type Linked, LinkedList } from '../../common/linked-list.js';
import { onAbort, outageText, timeoutText } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import { asResent, type WireMessage, type WireProperties } from '../wire/amqp-message.js';

/** Callbacks shared by all messages of a publisher. */
export interface PendingPublishListener {
  /** The sender's signal was aborted. */
  onAborted(pending: PendingPublish): void;
  /** The sender's promise is settled. */
  onSettled(): void;
  /** No queue or exchange took the message. Called before the sender's promise settles. */
  onUnroutable(pending: PendingPublish): void;
}

/** The target with limited room that a message was sent to. It counts the answers. */
interface AnswerCounter {
  /** The broker has answered about the message. */
  onAnswered(): void;
  onAccepted(): void;
}

/**
 * One message in transit to the broker, and the promise of its sender.
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
  /** Its place among all messages of its publisher. */
  readonly position: number;
  readonly noWait: boolean;
  /** Whether it is an error that no queue takes it. */
  readonly mandatory: boolean;
  /** The end of its time limit, on the clock of `performance.now()`; `Infinity`: none. */
  readonly deadline: number;

  /** It was sent and no response came: it may be stored, regardless of later events. */
  uncertain = false;
  /** Its channel was lost while it may have been stored, and it was not sent again since. */
  interrupted = false;
  /** On the wire, unanswered. */
  unconfirmed = false;
  settled = false;
  /** Why the broker returned it. Its confirm still follows. */
  returned: string | undefined = undefined;
  /** How often the broker closed the whole connection with an error while this message was on the wire. */
  connectionErrors = 0;
  /** Set while it is on the wire to a target whose room is limited. */
  boundedTarget: AnswerCounter | undefined = undefined;
  list: LinkedList<PendingPublish> | undefined = undefined;
  previous: PendingPublish | undefined = undefined;
  next: PendingPublish | undefined = undefined;

  /** The limit that its error names. */
  readonly #limitMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #unlisten: (() => void) | undefined;
  readonly #listener: PendingPublishListener;
  readonly #resolve: (isRouted: boolean) => void;
  readonly #reject: (error: QueueError) => void;

  constructor(
    wire: WireMessage,
    position: number,
    options: PublishOptions,
    resolve: (isRouted: boolean) => void,
    reject: (error: QueueError) => void,
    listener: PendingPublishListener,
  ) {
    const { signal, timeoutMs = Number.POSITIVE_INFINITY, limitMs = timeoutMs, noWait = false } = options;
    this.wire = wire;
    this.position = position;
    this.noWait = noWait;
    this.mandatory = options.mandatory ?? true;
    this.deadline = timeoutMs === Number.POSITIVE_INFINITY ? timeoutMs : performance.now() + timeoutMs;
    this.#limitMs = limitMs;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    this.#listener = listener;
    if (signal !== undefined) this.#unlisten = onAbort(signal, () => listener.onAborted(this));
  }

  /** The properties to send it with: a second sending is marked as one. */
  get options(): WireProperties {
    return this.uncertain ? asResent(this.wire.options) : this.wire.options;
  }

  get #target(): string {
    const { exchange, routingKey } = this.wire;
    return exchange === ''
      ? `the queue '${routingKey}'`
      : `the exchange '${exchange}' with key '${routingKey}'`;
  }

  confirm(): void {
    if (this.returned === undefined || !this.mandatory) {
      if (this.returned !== undefined) this.#listener.onUnroutable(this);
      // One that was returned may have been routed when it was sent before.
      if (this.#settle()) this.#resolve(this.returned === undefined || this.uncertain);
    } else {
      const remedy =
        this.wire.exchange === '' ? 'declare the queue first' : 'bind a queue for its routing key';
      this.refuse('UNROUTABLE', `no queue takes it (${this.returned}); ${remedy}`, undefined);
    }
  }

  /** A queue refused it, most likely because it is full. `'again'`: it is to be sent again when there may be room. */
  onNack(): 'again' | 'settled' {
    if (this.settled) return 'settled';
    if (this.wire.exchange !== '') {
      // An exchange may route to several queues. Those that did not refuse the message would get it again.
      this.uncertain = true;
      this.giveUp('REFUSED', 'a queue behind the exchange refused it, most likely because it is full');
    } else if (this.noWait) this.giveUp('FULL', 'the queue is full');
    return this.settled ? 'settled' : 'again';
  }

  /** The broker refused this sending of the message for good. An earlier sending may have been stored. */
  refuse(code: QueueError['code'], why: string, cause: unknown): void {
    if (this.settled) return;
    if (code === 'UNROUTABLE') this.#listener.onUnroutable(this);
    if (this.uncertain) {
      const reason = new QueueError(code, why, { cause });
      this.fail('UNCONFIRMED', `it may have arrived before it was sent again and refused: ${why}`, reason);
    } else if (code === 'UNROUTABLE' && !this.mandatory) {
      if (this.#settle()) this.#resolve(false);
    } else {
      this.fail(code, why, cause);
    }
  }

  /** Rejects for a reason that already says that nothing was stored, or that this is unknown. */
  fail(code: QueueError['code'], why: string, cause?: unknown): void {
    if (!this.#settle()) return;
    this.#reject(new QueueError(code, `message ${this.wire.id} to ${this.#target}: ${why}`, { cause }));
  }

  /** Ends its wait: with `code` if certainly nothing was stored, otherwise with `UNCONFIRMED`. */
  giveUp(code: QueueError['code'], why: string, cause?: unknown): void {
    if (!this.uncertain && !this.unconfirmed) {
      this.fail(code, `${why}; nothing was stored`, cause);
    } else {
      const reason = new QueueError(code, why, { cause });
      this.fail('UNCONFIRMED', `${why}, and it may have arrived: no confirmation came`, reason);
    }
  }

  /** `outage`: why there is currently no connection, if there is none. */
  expire(outage: Outage | undefined): void {
    this.giveUp('TIMEOUT', timeoutText(this.#limitMs, 'not stored') + outageText(outage), outage?.reason);
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

/** Messages that wait to be sent, in the order of their positions. */
export class SendQueue extends LinkedList<PendingPublish> {
  /** Inserts by position: a new message goes to the end, a re-sent one before the later ones. */
  add(pending: PendingPublish): void {
    let after = this.last;
    while (after !== undefined && after.position > pending.position) after = after.previous;
    this.insert(pending, after);
  }

  /** Inserts many, sorted by position, in one pass. */
  addAll(sorted: Iterable<PendingPublish>): void {
    let after: PendingPublish | undefined;
    for (const pending of sorted) {
      let next = after === undefined ? this.first : after.next;
      while (next !== undefined && next.position < pending.position) {
        after = next;
        next = next.next;
      }
      this.insert(pending, after);
      after = pending;
    }
  }
}
