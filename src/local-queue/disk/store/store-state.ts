import type { Handled } from './messages/message-table.js';
import { WaitingFanOuts, type WaitingMessage } from './waiting-publishes.js';

/** A subscriber of this process. */
export interface Subscriber {
  readonly id: number;
  readonly queue: string;
  readonly prefetch: number;
  /** Whether it only inspects messages, and gets them even from a paused queue. */
  readonly inspects: boolean;
  /** The tickets of its unsettled deliveries. */
  readonly unsettled: Set<number>;
  /** Whether it gets more. */
  active: boolean;
  /** When one of its settlements was last recorded. Milliseconds since 1970. */
  settledAt: number;
}

/** A delivery of this process that is not settled. */
export interface Ticket extends Handled {
  readonly number: number;
  readonly subscriber: Subscriber;
}

/** The state that the store thread keeps between transactions. It is private to this thread. */
export class StoreState {
  /** This thread among the owners, from its first subscriber or exclusive queue on. */
  owner: number | undefined = undefined;
  lastTicket = 0;
  readonly tickets = new Map<number, Ticket>();
  readonly subscribers = new Map<number, Subscriber>();
  /** By queue, then by request, in the order of arrival, which a map keeps. None is empty. */
  readonly waiting = new Map<string, Map<number, WaitingMessage>>();
  readonly fanOuts = new WaitingFanOuts();
}
