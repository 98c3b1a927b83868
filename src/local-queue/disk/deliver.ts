import { RecordWriter } from './message-record.js';
import type { DeliveryBatch } from './protocol.js';
import type { StoredQueue } from './queue-description.js';
import { STEPS_PER_TURN, type Subscriber, type Ticket, type Turn } from './turn.js';

/** What one turn hands out at most, besides one message more: the bytes are copied, and other processes wait. */
const BYTES_PER_TURN = 4 * 1024 * 1024;

/** Hands ready messages to the subscribers that may hold more. */
export function deliver(turn: Turn): void {
  for (const [name, subscribers] of withCredit(turn)) {
    const queue = turn.queues.byName(name);
    if (queue !== undefined) deliverFrom(turn, queue, subscribers);
  }
}

function withCredit({ memory, newcomers }: Turn): Map<string, Subscriber[]> {
  const byQueue = new Map<string, Subscriber[]>();
  for (const subscriber of memory.subscribers.values()) {
    if (!subscriber.active || credit(subscriber) === 0 || newcomers.has(subscriber.id)) continue;
    const others = byQueue.get(subscriber.queue);
    if (others === undefined) byQueue.set(subscriber.queue, [subscriber]);
    else others.push(subscriber);
  }
  return byQueue;
}

function credit({ prefetch, unsettled }: Subscriber): number {
  return prefetch - unsettled.size;
}

function deliverFrom(turn: Turn, queue: StoredQueue, subscribers: Subscriber[]): void {
  const { queues, messages, memory, reply } = turn;
  const counters = queues.counters(queue);
  let wanted = 0;
  for (const subscriber of subscribers) wanted += credit(subscriber);
  if (counters.ready > 0) {
    const line = subscribers.map((subscriber) => new Outgoing(subscriber));
    let next = 0;
    let bytes = 0;
    messages.lease(queue, memory.owner as number, Math.min(wanted, STEPS_PER_TURN), (state, record) => {
      wanted--;
      bytes += record.byteLength;
      // In turn among those who may hold more; there is one, since no more than `wanted` are taken.
      while (credit((line[next % line.length] as Outgoing).subscriber) === 0) next++;
      const outgoing = line[next % line.length] as Outgoing;
      next++;
      outgoing.add(
        hold(turn, { number: ++memory.lastTicket, subscriber: outgoing.subscriber, queue, state }),
        record,
      );
      return bytes < BYTES_PER_TURN;
    });
    for (const { batch } of line) if (batch !== undefined) reply.deliveries.push(batch);
    // The next turn begins with another one.
    rotate(turn, subscribers, next);
  }
  if (wanted === 0) return;
  if (counters.ready > 0) turn.unfinished = true;
  else counters.hungry = true;
}

function hold(turn: Turn, ticket: Ticket): Ticket {
  const { tickets } = turn.memory;
  const { unsettled } = ticket.subscriber;
  tickets.set(ticket.number, ticket);
  unsettled.add(ticket.number);
  turn.onFailure(() => {
    tickets.delete(ticket.number);
    unsettled.delete(ticket.number);
  });
  return ticket;
}

/** Those served before move behind the others. A map keeps the order in which its entries were set. */
function rotate({ memory }: Turn, subscribers: Subscriber[], served: number): void {
  if (subscribers.length === 1) return;
  for (const subscriber of subscribers.slice(0, served % subscribers.length)) {
    memory.subscribers.delete(subscriber.id);
    memory.subscribers.set(subscriber.id, subscriber);
  }
}

/** The deliveries of one subscriber in this turn. */
class Outgoing {
  readonly subscriber: Subscriber;
  #writer: RecordWriter | undefined = undefined;
  readonly #lists = {
    tickets: [] as number[],
    attempts: [] as number[],
    redelivered: [] as boolean[],
    ends: [] as number[],
  };

  constructor(subscriber: Subscriber) {
    this.subscriber = subscriber;
  }

  add({ number, state }: Ticket, record: Buffer): void {
    this.#writer ??= new RecordWriter(16 * 1024);
    this.#writer.appendBytes(record);
    this.#lists.tickets.push(number);
    this.#lists.attempts.push(state.attempt);
    this.#lists.redelivered.push(state.redelivered);
    this.#lists.ends.push(this.#writer.length);
  }

  get batch(): DeliveryBatch | undefined {
    const writer = this.#writer;
    return writer && { subscription: this.subscriber.id, ...this.#lists, records: writer.bytes };
  }
}
