import type {
  Backend,
  Delivery,
  Publishing,
  QueueSpec,
  QueueSubscription,
  SharedState,
  SharedStateOptions,
  SharedStateView,
  WaitOptions,
} from '../../broker.js';
import { queueSpec } from '../../common/definitions/queue-spec.js';
import { newMessage } from '../../common/message/create-and-check.js';
import {
  anyOf,
  CLOSE_LIMIT_MS,
  limitsLeft,
  pause,
  settledWithin,
  throwIfAborted,
} from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';

/** Those that differ are merged at once, so there are only as many as programs that start at the same time. */
const PREFETCH = 100;

/** RabbitMQ cancels a consumer that holds a message for half an hour: the value is rewritten before that. */
const WRITE_AGAIN_MS = 5 * 60_000;

const OPEN_AGAIN_MS = 10_000;

/** How long reading a state waits for the content of its queue. */
const VIEW_LIMIT_MS = 2_000;

type Verbs = Pick<Backend, 'declare' | 'publish' | 'subscribe' | 'inspect'>;

/**
 * A state that is kept as a message in a queue with a single active consumer: that consumer alone may set it. RabbitMQ
 * notifies no consumer that it is the active one, but delivers to no other.
 *
 *   waiting ──delivery──► reading ──own message comes back──► turn ──connection lost──► waiting
 *
 * A program that begins writes what it contributes, and one that becomes active what it has read; once that comes back,
 * it has seen all that was there before. There may be several messages at any time: all of them are merged.
 */
export class StateQueue implements SharedState {
  readonly #broker: Verbs;
  readonly #queue: QueueSpec;
  readonly #options: SharedStateOptions;
  /** All that is known, merged. */
  #value: string;
  /** The value written last. */
  #written = '';
  /** Unsettled; the last one is kept while it is this one's turn, so that its loss is noticed. */
  #held: Delivery[] = [];
  #state: 'waiting' | 'reading' | 'turn' = 'waiting';
  /** The id of the message that ends the reading. */
  #barrier = '';
  #subscription: QueueSubscription | undefined;
  #writing: Promise<void> | undefined;
  #writesAgain = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #closed = new AbortController();
  /** Aborted later than `#closed`: the last value had its time to be written. */
  readonly #ended = new AbortController();

  constructor(broker: Verbs, name: string, options: SharedStateOptions) {
    this.#broker = broker;
    this.#queue = stateQueue(name);
    this.#options = options;
    this.#value = options.initial;
  }

  async open(wait: WaitOptions): Promise<this> {
    await this.#subscribe(wait);
    this.#timer = setInterval(() => this.#write(), WRITE_AGAIN_MS).unref();
    return this;
  }

  async set(value: string, publishing?: Publishing): Promise<boolean> {
    if (this.#state !== 'turn') return false;
    if (publishing !== undefined) {
      const { to, message, mandatory } = publishing;
      await this.#broker.publish(to, message, { noWait: true, mandatory, signal: this.#ended.signal });
    }
    // Kept even if the turn was lost meanwhile: its new holder receives it.
    this.#value = this.#options.merge(this.#value, value);
    while (this.#written !== this.#value && this.#state === 'turn' && !this.#ended.signal.aborted)
      await this.#write();
    return true;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    clearInterval(this.#timer);
    if (this.#writing !== undefined) await settledWithin(this.#writing, CLOSE_LIMIT_MS);
    this.#ended.abort();
    await this.#subscription?.close();
  }

  async #subscribe(wait: WaitOptions): Promise<void> {
    await this.#broker.declare(this.#queue, wait);
    const options = { ...wait, prefetch: PREFETCH, onLost: this.#onLost };
    const subscription = await this.#broker.subscribe(this.#queue.name, options, this.#onDelivery);
    subscription.unref();
    this.#subscription = subscription;
    if (this.#closed.signal.aborted) await subscription.close();
    subscription.ended.catch((error) => this.#openAgain(error));
    void this.#write();
  }

  /** The subscription renews itself, unless the broker refuses it. */
  async #openAgain(reason: Error): Promise<void> {
    this.#leaveTurn(reason);
    while (!this.#closed.signal.aborted) {
      await pause(OPEN_AGAIN_MS, this.#closed.signal);
      if (this.#closed.signal.aborted) return;
      try {
        await this.#subscribe({ signal: this.#closed.signal });
        return;
      } catch (error) {
        if (isQueueError(error, 'CLOSED')) return;
      }
    }
  }

  readonly #onDelivery = (delivery: Delivery): void => {
    if (this.#closed.signal.aborted) {
      delivery.release();
      return;
    }
    const { id, body } = delivery.message;
    const text = typeof body === 'string' ? body : Buffer.from(body).toString();
    const before = this.#value;
    this.#value = this.#options.merge(before, text);
    const isComplete = this.#value === text;
    if (isComplete) this.#ack(this.#held);
    this.#held.push(delivery);
    if (this.#state === 'waiting') {
      this.#state = 'reading';
      void this.#write();
    } else if (this.#state === 'reading' && id === this.#barrier) {
      this.#state = 'turn';
      this.#options.onTurn(this.#value);
    } else if (!isComplete) {
      void this.#write();
    }
    if (this.#state === 'turn' && this.#value !== before && id !== this.#barrier)
      this.#options.onTurn(this.#value);
  };

  readonly #onLost = (_delivery: Delivery, reason: Error): void => this.#leaveTurn(reason);

  #leaveTurn(reason: Error): void {
    const hadTurn = this.#state === 'turn';
    this.#held = [];
    this.#state = 'waiting';
    this.#barrier = '';
    if (hadTurn) this.#options.onLost(reason);
  }

  /** Writes the value, once more if it changes meanwhile. Never rejects: a failed write is repeated later. */
  #write(): Promise<void> {
    this.#writesAgain = this.#writing !== undefined;
    this.#writing ??= this.#writeOnce().finally(() => {
      this.#writing = undefined;
      if (this.#writesAgain) void this.#write();
    });
    return this.#writing;
  }

  async #writeOnce(): Promise<void> {
    const covered = new Set(this.#held);
    const value = this.#value;
    const message = newMessage({ contentType: 'application/json', body: value });
    if (this.#state === 'reading' && this.#barrier === '') this.#barrier = message.id;
    try {
      const to = { exchange: '', routingKey: this.#queue.name };
      await this.#broker.publish(to, message, { signal: this.#ended.signal });
    } catch (error) {
      if (this.#barrier === message.id) this.#barrier = '';
      if (isQueueError(error, 'CLOSED')) {
        this.#leaveTurn(error);
        return;
      }
      if (isQueueError(error, 'UNROUTABLE'))
        await this.#broker.declare(this.#queue, { signal: this.#closed.signal }).catch(() => {});
      await pause(OPEN_AGAIN_MS / 10, this.#closed.signal);
      this.#writesAgain = !this.#closed.signal.aborted;
      return;
    }
    this.#written = value;
    // Written values stay in the queue. The last one is held here until its successor comes.
    this.#ack(this.#held.filter((delivery) => covered.has(delivery)).slice(0, -1));
  }

  #ack(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) delivery.ack();
    this.#held = this.#held.filter((delivery) => !deliveries.includes(delivery));
  }
}

/** The content of the queue while the state has no holder. */
export async function viewState(
  broker: Verbs,
  name: string,
  wait: WaitOptions = {},
): Promise<SharedStateView> {
  const queue = stateQueue(name);
  const since = performance.now();
  try {
    const { ready, consumers } = await broker.inspect(queue.name, wait);
    if (ready === 0 || consumers > 0) return { values: [], isHeld: consumers > 0 };
    return { values: await readAll(broker, queue, ready, limitsLeft(wait, since)), isHeld: false };
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISSING')) return { values: [], isHeld: false };
    throw error;
  }
}

/** Resolves to whether there was one. */
export async function removeState(
  broker: Pick<Backend, 'remove'>,
  name: string,
  wait: WaitOptions = {},
): Promise<boolean> {
  try {
    await broker.remove(stateQueue(name).name, wait);
    return true;
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISSING')) return false;
    throw error;
  }
}

async function readAll(
  broker: Verbs,
  { name }: QueueSpec,
  count: number,
  wait: WaitOptions,
): Promise<string[]> {
  const values: string[] = [];
  const all = new AbortController();
  const options = { ...wait, prefetch: PREFETCH, sparesLimit: true };
  const subscription = await broker.subscribe(name, options, ({ message: { body } }) => {
    values.push(typeof body === 'string' ? body : Buffer.from(body).toString());
    if (values.length >= count) all.abort();
  });
  const { signal, release } = anyOf(wait.signal === undefined ? [all.signal] : [all.signal, wait.signal]);
  await pause(Math.min(VIEW_LIMIT_MS, wait.timeoutMs ?? VIEW_LIMIT_MS), signal, { keepAlive: true });
  release();
  await subscription.close();
  throwIfAborted(wait.signal, `reading '${name}'`);
  return values;
}

/** It must never drop its message, however many of its consumers die. */
function stateQueue(name: string): QueueSpec {
  return queueSpec(`millrace.${name}`, {
    deadLetter: false,
    deliveryLimit: Number.POSITIVE_INFINITY,
    arguments: { 'x-single-active-consumer': true },
  });
}
