import type { Destination, Failure, Message } from '../../broker.js';
import { settledWithin, timeoutError } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import { Outbox } from './outbox.js';
import type {
  Command,
  CommandResult,
  DeliveryBatch,
  Posted,
  ReadCommand,
  Refusal,
  Reply,
} from './protocol.js';
import { type StoreWorker, type StoreWorkerSettings, startStoreWorker } from './store-worker.js';

/** The limit for calls that must resolve even if the store thread is blocked by the disk, or by a stalled process. */
export const ANSWER_LIMIT_MS = 5000;

/** The rest of a limit for several responses, awaited since then, on the clock of `performance.now()`. */
export function answerLimit(since: number): number {
  return Math.max(0, ANSWER_LIMIT_MS - (performance.now() - since));
}

/** Resolves when it is settled either way, or the limit is over. */
export function withinAnswerLimit(answer: Promise<unknown>, since = performance.now()): Promise<void> {
  return settledWithin(answer, answerLimit(since));
}

/** A request that waits for its answer. */
export interface Pending {
  done(value: CommandResult): void;
  refused(code: Refusal['code'], message: string): void;
  /** There will be no answer. */
  gone(error: QueueError): void;
}

/** Where deliveries go. */
export interface Receiver {
  deliver(batch: DeliveryBatch): void;
  lost(tickets: readonly number[], reason: Error): void;
  /** A message of its queue was not delivered, for this reason. */
  setAside(id: string, failure: Failure): void;
  /** It gets nothing more, and its deliveries are lost. */
  fail(error: QueueError): void;
}

/** A command without its number. */
export type Asked<C = Command | ReadCommand> = C extends Command | ReadCommand ? Omit<C, 'id'> : never;

/**
 * This thread's requests to the store of one folder, and the responses. Shared by all brokers of this thread that have
 * the folder open.
 *
 *   opening ──► open ──close()──► closed
 *      └──────────┴──the store thread ends──► ▲
 */
export class StoreClient {
  readonly folder: string;
  readonly outbox: Outbox;
  readonly #worker: StoreWorker;
  readonly #pending = new Map<number, Pending>();
  readonly #receivers = new Map<number, Receiver>();
  /** The subscriptions that keep the process alive. */
  readonly #keepers = new Set<number>();
  #lastId = 0;
  /** The publishes that are given up in the running task. */
  #givenUp: number[] | undefined = undefined;
  #posting = false;
  /** The number of posts, and how many of them are known to be stored. */
  #posts = 0;
  #postsStored = 0;
  /** A thread does so from its start. */
  #keptAlive = true;
  /** Set when no more requests are possible. */
  #ended: QueueError | undefined = undefined;

  constructor(settings: StoreWorkerSettings) {
    this.folder = settings.folder;
    this.outbox = new Outbox({ first: () => this.#postSoon(), full: () => this.#post() });
    this.#worker = startStoreWorker(settings, {
      onReply: (reply) => this.#receive(reply),
      onEnd: (error) => this.#end(error),
    });
  }

  /** Rejects: `STORAGE_ERROR`, `STORAGE_FULL`. */
  async open(): Promise<void> {
    await this.#worker.opened;
    this.#adjustKeepAlive();
  }

  /** Resolves when the store thread has ended, and has nothing open. */
  get exited(): Promise<void> {
    return this.#worker.exited;
  }

  /** Why no more requests are possible; undefined: they are. */
  get ended(): QueueError | undefined {
    return this.#ended;
  }

  /** Sends a request whose caller waits. Keeps the process alive until the response. */
  ask(pending: Pending, request: (id: number) => void): void {
    request(this.#lastId + 1);
    this.#expect(pending);
  }

  /** Sends a message, and returns the number of its request. */
  publish(pending: Pending, to: Destination, message: Message, flags: number): number {
    this.outbox.publish(this.#lastId + 1, to, message, flags);
    return this.#expect(pending);
  }

  #expect(pending: Pending): number {
    const id = ++this.#lastId;
    this.#pending.set(id, pending);
    if (!this.#keptAlive) this.#adjustKeepAlive();
    return id;
  }

  /**
   * Rejects as the command says, and with `STORAGE_ERROR` when the store thread ends. If `wait` gives up before, the
   * command is still executed, but no longer keeps the process alive.
   */
  async command<T = CommandResult>(
    command: Asked,
    wait: (answer: Promise<CommandResult>) => Promise<T>,
  ): Promise<T> {
    let id = 0;
    const answer = this.request((number) => {
      id = number;
      this.outbox.add({ ...command, id } as Command | ReadCommand);
    });
    try {
      return await wait(answer);
    } finally {
      if (this.#pending.delete(id)) this.#adjustKeepAlive();
    }
  }

  /** As {@link command}, for requests that go another way. */
  request(add: (id: number) => void): Promise<CommandResult> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        done: resolve,
        refused: (code, message) => {
          if (code !== 'GIVEN_UP') reject(new QueueError(code, message));
          else reject(new QueueError('CLOSED', 'the subscription was closed before there was room'));
        },
        gone: reject,
      };
      this.ask(pending, add);
    });
  }

  /** Requests that wait for an answer, by number. */
  get pending(): ReadonlyMap<number, Pending> {
    return this.#pending;
  }

  /**
   * Withdraws a publish that waits for room. If the store thread does not respond in time, it is `gone`; all publishes
   * given up at once share one limit, and a response that is there when it ends still counts.
   */
  giveUp(id: number): void {
    this.outbox.giveUp(id);
    if (this.#givenUp === undefined) {
      const ids: number[] = [];
      this.#givenUp = ids;
      queueMicrotask(() => {
        this.#givenUp = undefined;
      });
      setTimeout(() => setImmediate(() => this.#abandon(ids)), ANSWER_LIMIT_MS).unref();
    }
    this.#givenUp.push(id);
  }

  #abandon(ids: readonly number[]): void {
    const error = timeoutError('the store', ANSWER_LIMIT_MS, 'no answer');
    for (const id of ids) this.#settle(id)?.gone(error);
    this.#adjustKeepAlive();
  }

  /** A number for {@link receive}. */
  newSubscription(): number {
    return ++this.#lastId;
  }

  /** Takes deliveries from now on, and keeps the process alive. */
  receive(subscription: number, receiver: Receiver): void {
    this.#receivers.set(subscription, receiver);
    this.keepAliveFor(subscription, true);
  }

  /** Whether this subscription, while it takes deliveries, keeps the process alive. */
  keepAliveFor(subscription: number, wanted: boolean): void {
    if (wanted && this.#receivers.has(subscription)) this.#keepers.add(subscription);
    else this.#keepers.delete(subscription);
    this.#adjustKeepAlive();
  }

  stopReceiving(subscription: number): void {
    this.#receivers.delete(subscription);
    this.keepAliveFor(subscription, false);
  }

  /** Stores what no caller awaits, such as acknowledgements of unreferenced consumers, before the process exits. */
  flush(): void {
    if (this.#posts === this.#postsStored) return;
    // Once, even if it takes too long: otherwise the process would never exit.
    const stored = () => {
      this.#postsStored = this.#posts;
    };
    this.command({ kind: 'settled' }, withinAnswerLimit).then(stored, stored);
  }

  /**
   * Stores settlements, returns the rest, and closes the files. Always resolves; if the thread is blocked, before that.
   */
  async close(limitMs = ANSWER_LIMIT_MS): Promise<void> {
    const closed = (answer: Promise<unknown>) =>
      // The timer keeps the process alive until then; a thread that has ended, or nearly, does not.
      settledWithin(
        answer.catch(() => {}).then(() => this.exited),
        limitMs,
      );
    await this.command({ kind: 'close' }, closed);
    // A blocked thread continues on its own, and ends when its requests are done.
    this.#end(new QueueError('CLOSED', `the queues in ${this.folder} were closed`));
    this.#worker.thread.unref();
  }

  #postSoon(): void {
    if (this.#posting) return;
    this.#posting = true;
    queueMicrotask(() => this.#post());
  }

  #post(): void {
    this.#posting = false;
    const { requests, transfer } = this.outbox.take();
    if (requests.length === 0 || this.#ended !== undefined) return;
    this.#posts++;
    this.#worker.thread.postMessage(requests satisfies Posted[], transfer);
  }

  #receive(reply: Reply): void {
    for (const id of reply.done) this.#settle(id)?.done(undefined);
    for (const id of reply.unrouted) this.#settle(id)?.done(false);
    for (const { id, value } of reply.answers) this.#settle(id)?.done(value);
    for (const { id, code, message } of reply.refused) this.#settle(id)?.refused(code, message);
    for (const { tickets, message } of reply.lost) {
      const reason = new QueueError('BROKER_ERROR', message);
      for (const receiver of this.#receivers.values()) receiver.lost(tickets, reason);
    }
    for (const batch of reply.deliveries) this.#receivers.get(batch.subscription)?.deliver(batch);
    for (const { subscription, messageId, failure } of reply.setAside)
      this.#receivers.get(subscription)?.setAside(messageId, failure);
    for (const { subscription, code, message } of reply.ended) {
      const receiver = this.#receivers.get(subscription);
      this.stopReceiving(subscription);
      receiver?.fail(new QueueError(code, message));
    }
    if (reply.fatal !== undefined) this.#end(new QueueError(reply.fatal.code, reply.fatal.message));
    this.#adjustKeepAlive();
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  /**
   * The thread keeps the process alive while a call is pending, and while there are referenced subscribers.
   */
  #adjustKeepAlive(): void {
    const wanted = this.#pending.size > 0 || this.#keepers.size > 0;
    if (wanted === this.#keptAlive) return;
    this.#keptAlive = wanted;
    if (wanted) this.#worker.thread.ref();
    else this.#worker.thread.unref();
  }

  #end(error: QueueError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    const pending = [...this.#pending.values()];
    const receivers = [...this.#receivers.values()];
    this.#pending.clear();
    this.#receivers.clear();
    this.#keepers.clear();
    for (const one of pending) one.gone(error);
    for (const receiver of receivers) receiver.fail(error);
  }
}
