import { type Channel, type ConsumeMessage, IllegalOperationError } from 'amqplib';
import type { Delivery } from '../../broker.js';
import { type Linked, LinkedList } from '../../common/linked-list.js';

/** What the broker is told to do with a delivery. */
export type BrokerSettlement =
  /** Remove it. */
  | 'ack'
  /** Put it back into its queue, at no cost. */
  | 'return'
  /** Put it back into its queue, as a failure that is counted. */
  | 'fail'
  /** Remove it, as rejected. */
  | 'reject';

/** How settlements are written to a channel. None of these may throw. */
interface SettlementWriter {
  /** `multiple`: all up to this tag. */
  ack(tag: number, multiple: boolean): void;
  nack(tag: number): void;
  reject(tag: number, requeue: boolean): void;
  /** Everything that is unsettled on the channel, including deliveries that have not arrived yet. */
  nackAll(): void;
}

/** Writes to a channel. amqplib throws if that is closing; the broker then takes back unsettled messages. */
export function writerOn(channel: Channel): SettlementWriter {
  const write = (settle: () => void) => {
    try {
      settle();
    } catch (error) {
      if (!(error instanceof IllegalOperationError)) throw error;
    }
  };
  return {
    ack: (tag, multiple) => write(() => channel.ack(tagged(tag), multiple)),
    nack: (tag) => write(() => channel.nack(tagged(tag), false, true)),
    reject: (tag, requeue) => write(() => channel.reject(tagged(tag), requeue)),
    nackAll: () => write(() => channel.nackAll(true)),
  };
}

/** amqplib expects a message where the protocol has a tag. */
function tagged(deliveryTag: number): ConsumeMessage {
  return { fields: { deliveryTag } } as ConsumeMessage;
}

/** A delivery as this side holds it, until it is settled or lost. */
export interface HeldDelivery extends Delivery {
  /** Whether it is being stored in another queue, and should arrive there before its channel is closed. */
  readonly isMoving: boolean;
  /** It can't be settled any more. False if it was settled before, or if no subscriber has it. */
  lose(reason: Error): boolean;
}

/** A delivery that is unsettled at the broker. */
export class UnsettledDelivery implements Linked<UnsettledDelivery> {
  readonly tag: number;
  /** Decided here, but not sent yet. */
  settlement: BrokerSettlement | undefined = undefined;
  holder: HeldDelivery | undefined = undefined;
  list: LinkedList<UnsettledDelivery> | undefined = undefined;
  previous: UnsettledDelivery | undefined = undefined;
  next: UnsettledDelivery | undefined = undefined;

  constructor(tag: number) {
    this.tag = tag;
  }
}

/** How long an acknowledgement waits for others. */
const REST_MS = 1;

/** The share of the prefetch window that may wait for its acknowledgement: the rest keeps the broker sending. */
const PART_OF_PREFETCH = 4;

/**
 * Owns the delivery tags of a channel. Every delivery enters when it arrives and leaves when its settlement is written,
 * so this is exactly what the broker counts as unsettled, regardless of its state on this side. Only this class writes
 * settlements, and only its `#flushAcks` decides whether one of them covers several deliveries.
 *
 *   receive() ──► undecided ──settle()──► decided ──written──► (gone)
 *                     │                      ▲ kept while held
 *                     └──────── clear() ─────┴──► (gone with its channel)
 *
 * Acknowledgements are collected: on their own they would cost both sides more than the messages. They are written at
 * the end of the turn of the event loop if they hold up the prefetch window, and after a millisecond otherwise.
 */
export class Settlements {
  readonly #writer: SettlementWriter;
  /** As many acknowledgements as these are written at the end of the turn. */
  readonly #enough: number;
  /** In the order of their tags. */
  readonly #unsettled = new LinkedList<UnsettledDelivery>();
  /** Acknowledgements that are not written yet. */
  #acks: UnsettledDelivery[] = [];
  #size = 0;
  #lastTag = 0;
  #isHeld = false;
  #timer: NodeJS.Timeout | undefined;
  #endOfTurn: NodeJS.Immediate | undefined;

  constructor(writer: SettlementWriter, prefetch: number) {
    this.#writer = writer;
    this.#enough = Math.max(1, Math.floor(prefetch / PART_OF_PREFETCH));
  }

  /** How many deliveries are unsettled at the broker, as far as they have arrived. */
  get size(): number {
    return this.#size;
  }

  /** Whether any delivery has arrived on this channel. */
  get hasReceived(): boolean {
    return this.#lastTag > 0;
  }

  /** Whether all that is unsettled was acknowledged, and the acknowledgements are held. */
  get onlyAcks(): boolean {
    return this.#acks.length === this.#size;
  }

  /** The deliveries whose settlement nobody has chosen yet. */
  get undecided(): readonly UnsettledDelivery[] {
    return [...this.#unsettled].filter(({ settlement }) => settlement === undefined);
  }

  get isMoving(): boolean {
    for (const { holder } of this.#unsettled) if (holder?.isMoving) return true;
    return false;
  }

  /**
   * A delivery has arrived. Undefined for a tag that can't be settled: brokers count from 1 up on each channel, and
   * beyond 2^53 numbers are not exact, so that settling it would settle another delivery.
   */
  receive(tag: number): UnsettledDelivery | undefined {
    if (!(Number.isSafeInteger(tag) && tag > this.#lastTag)) return undefined;
    this.#lastTag = tag;
    const delivery = new UnsettledDelivery(tag);
    this.#unsettled.append(delivery);
    this.#size++;
    return delivery;
  }

  /** False if it was settled before, or is gone with its channel. */
  settle(delivery: UnsettledDelivery, settlement: BrokerSettlement): boolean {
    if (delivery.list !== this.#unsettled || delivery.settlement !== undefined) return false;
    delivery.settlement = settlement;
    if (settlement === 'ack') this.#addAck(delivery);
    else if (!this.#isHeld) this.#write(delivery);
    return true;
  }

  /** From now on nothing is written, so that the broker sends nothing in its place. */
  hold(): void {
    this.#isHeld = true;
    this.#stopTimers();
  }

  /** Writes the held settlements: first the acknowledgements, then the others in the order of their tags. */
  resume(): void {
    this.#isHeld = false;
    this.#flushAcks();
    this.#writeDecided(() => true);
  }

  /** Writes the held settlements except returns, and keeps holding: returns happen when the channel is closed. */
  writeAllButReturns(): void {
    this.#flushAcks();
    this.#writeDecided(({ settlement }) => settlement !== 'return');
  }

  /** As `resume`, and everything else is returned at no cost. Returns the deliveries that were undecided. */
  returnAll(): UnsettledDelivery[] {
    this.resume();
    if (!this.#unsettled.isEmpty) this.#writer.nackAll();
    return this.clear();
  }

  /** The channel is closed, and the broker takes back every delivery it does not consider settled. */
  clear(): UnsettledDelivery[] {
    this.#stopTimers();
    this.#acks = [];
    this.#size = 0;
    return this.#unsettled.clear();
  }

  #addAck(delivery: UnsettledDelivery): void {
    this.#acks.push(delivery);
    if (this.#isHeld) return;
    if (this.#acks.length >= this.#enough) this.#endOfTurn ??= setImmediate(() => this.#flushAcks());
    else this.#timer ??= setTimeout(() => this.#flushAcks(), REST_MS);
  }

  /** `multiple` covers everything up to a tag: it is used only up to the first delivery that is not acknowledged. */
  #flushAcks(): void {
    this.#stopTimers();
    const acks = this.#acks;
    this.#acks = [];
    let last: UnsettledDelivery | undefined;
    let count = 0;
    for (let first = this.#unsettled.first; first?.settlement === 'ack'; first = this.#unsettled.first) {
      this.#remove(first);
      last = first;
      count++;
    }
    if (last !== undefined) this.#writer.ack(last.tag, count > 1);
    // Later ones are acknowledged one by one: kept back, they would hold up the prefetch window.
    for (const ack of acks) if (ack.list === this.#unsettled) this.#write(ack);
  }

  #writeDecided(isToBeWritten: (delivery: UnsettledDelivery) => boolean): void {
    const decided = [...this.#unsettled].filter(({ settlement }) => settlement !== undefined);
    for (const delivery of decided) if (isToBeWritten(delivery)) this.#write(delivery);
  }

  #write(delivery: UnsettledDelivery): void {
    this.#remove(delivery);
    const { tag, settlement } = delivery;
    if (settlement === 'ack') this.#writer.ack(tag, false);
    else if (settlement === 'return') this.#writer.nack(tag);
    else this.#writer.reject(tag, settlement === 'fail');
  }

  #remove(delivery: UnsettledDelivery): void {
    this.#unsettled.remove(delivery);
    this.#size--;
  }

  #stopTimers(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#endOfTurn !== undefined) clearImmediate(this.#endOfTurn);
    this.#endOfTurn = undefined;
  }
}
