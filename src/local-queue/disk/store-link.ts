import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { QueueError } from '../../errors.js';
import { ExitGate } from './exit-gate.js';
import { LockWatch } from './lock-watch.js';
import { Outbox } from './outbox.js';
import type {
  CommandResult,
  DeliveryBatch,
  Opened,
  Refusal,
  Reply,
  Request,
  StoreSettings,
} from './protocol.js';
import { storageError } from './storage-error.js';
import { STORE_FILE } from './store-files.js';
import { withinTime } from './within-time.js';

/** Compiled code has the compiled thread next to it. Run from its source, it takes the build's: Node 20 loads no .ts. */
const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/local-queue/disk/thread.js' : './thread.js',
  import.meta.url,
);

/** The thread's objects live as long as a transaction. With V8's default for it a worker takes 20 MB more, and is no faster. */
const YOUNG_GENERATION_MB = 8;

/** Whoever waits for an answer to a request. */
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
  /** The store can't go on. */
  fail(error: QueueError): void;
}

export interface StoreLinkSettings extends Omit<StoreSettings, 'gate' | 'lockWatch'> {
  /** Another module in place of the store thread's own. For tests that have it die at chosen moments. */
  readonly thread?: URL | undefined;
}

/**
 * The main thread's end of the connection to the store thread of one folder. Shared by all brokers of this process
 * that have the folder open.
 *
 *   opening ──► open ──close()──► closed
 *      └──────────┴──the thread ends──► ▲
 */
export class StoreLink {
  readonly folder: string;
  readonly opened: Promise<void>;
  /** Resolves when the thread is no more, and has nothing open. */
  readonly exited: Promise<void>;
  readonly #worker: Worker;
  readonly #gate = new ExitGate();
  readonly #lockWatch = new LockWatch();
  readonly #outbox: Outbox;
  readonly #pending = new Map<number, Pending>();
  readonly #receivers = new Map<number, Receiver>();
  /** The subscriptions that keep the process alive. */
  readonly #keepers = new Set<number>();
  #lastId = 0;
  #posting = false;
  /** How many times something was posted to the thread, and how many of these it is known to be done with. */
  #posts = 0;
  #postsStored = 0;
  /** A thread does so from its start. */
  #keptAlive = true;
  /** Set when nothing more can be asked. */
  #ended: QueueError | undefined = undefined;
  #onEnded!: () => void;
  #isWorthAnotherTry = false;

  constructor({ folder, leaseMs, thread }: StoreLinkSettings) {
    this.folder = folder;
    this.#outbox = new Outbox({ first: () => this.#postSoon(), full: () => this.#post() });
    const settings: StoreSettings = {
      folder,
      leaseMs,
      gate: this.#gate.memory,
      lockWatch: this.#lockWatch.memory,
    };
    this.exited = new Promise((resolve) => {
      this.#onEnded = resolve;
    });
    // Without the flags of this process, which may be meant for its main program alone.
    this.#worker = new Worker(thread ?? THREAD, {
      name: 'millrace-store',
      workerData: settings,
      execArgv: [],
      stdin: false,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    process.on('beforeExit', this.#onBeforeExit);
    this.#gate.guard();
    this.#lockWatch.start();
    this.opened = new Promise((resolve, reject) => {
      this.#worker.once('message', ({ code, message = '', again = false }: Opened) => {
        if (code !== undefined) {
          this.#isWorthAnotherTry = again;
          this.#end(new QueueError(code, message));
          return;
        }
        this.#worker.on('message', (reply: Reply) => this.#receive(reply));
        this.#adjustKeepAlive();
        resolve();
      });
      this.#worker.once('error', (error) => {
        this.#end(storageError(error, join(folder, STORE_FILE)));
      });
      this.#worker.once('exit', (status) => {
        this.#gate.unguard();
        this.#lockWatch.stop();
        this.#end(new QueueError('STORAGE_ERROR', `the thread for ${folder} ended with status ${status}`));
        reject(this.#ended);
        this.#onEnded();
      });
    });
    // Whoever opens looks at it; so that it does not count as unhandled before.
    this.opened.catch(() => {});
  }

  /** When `opened` has rejected: whether another link may be able to open the store. */
  get isWorthAnotherTry(): boolean {
    return this.#isWorthAnotherTry;
  }

  /** Why nothing more can be asked; undefined: all is well. */
  get ended(): QueueError | undefined {
    return this.#ended;
  }

  /** Sends a request for which somebody waits. Keeps the process alive until it is answered. */
  ask(pending: Pending, request: (id: number) => void): number {
    const id = ++this.#lastId;
    request(id);
    this.#pending.set(id, pending);
    if (!this.#keptAlive) this.#adjustKeepAlive();
    return id;
  }

  /** Rejects as the command says, and with `STORAGE_ERROR` when the thread ends. */
  command(make: (id: number) => Request): Promise<CommandResult> {
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
      this.ask(pending, (id) => this.#outbox.add(make(id)));
    });
  }

  /** Who waits for what. */
  get pending(): ReadonlyMap<number, Pending> {
    return this.#pending;
  }

  get outbox(): Outbox {
    return this.#outbox;
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

  newSubscription(): number {
    return ++this.#lastId;
  }

  /** Stores what is settled, gives back the rest, and closes the files. Always resolves; where the thread is blocked, before that. */
  async close(): Promise<void> {
    if (this.#ended !== undefined) return this.exited;
    const closing = this.command((id) => ({ kind: 'close', id })).catch(() => {});
    await withinTime(closing.then(() => this.exited));
    // A thread that is blocked goes on by itself: ended while it waits for the lock, it would get it and keep it.
    this.#end(new QueueError('CLOSED', `the queues in ${this.folder} were closed`));
    this.#worker.unref();
  }

  #postSoon(): void {
    if (this.#posting) return;
    this.#posting = true;
    queueMicrotask(() => this.#post());
  }

  #post(): void {
    this.#posting = false;
    const { requests, transfer } = this.#outbox.take();
    if (requests.length === 0 || this.#ended !== undefined) return;
    this.#posts++;
    this.#worker.postMessage(requests, transfer);
  }

  #receive(reply: Reply): void {
    for (const id of reply.done) this.#settle(id)?.done(undefined);
    for (const { id, value } of reply.answers) this.#settle(id)?.done(value);
    for (const { id, code, message } of reply.refused) this.#settle(id)?.refused(code, message);
    for (const { tickets, message } of reply.lost) {
      const reason = new QueueError('BROKER_ERROR', message);
      for (const receiver of this.#receivers.values()) receiver.lost(tickets, reason);
    }
    for (const batch of reply.deliveries) this.#receivers.get(batch.subscription)?.deliver(batch);
    this.#adjustKeepAlive();
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  /**
   * The thread keeps the process alive while somebody waits for an answer, and while there are subscribers
   * that are no helpers.
   */
  #adjustKeepAlive(): void {
    const wanted = this.#pending.size > 0 || this.#keepers.size > 0;
    if (wanted === this.#keptAlive) return;
    this.#keptAlive = wanted;
    if (wanted) this.#worker.ref();
    else this.#worker.unref();
  }

  /** Helpers' acknowledgements, which nobody waits for, are stored before the process ends by itself. */
  readonly #onBeforeExit = (): void => {
    if (this.#posts === this.#postsStored) return;
    this.command((id) => ({ kind: 'give-up', id, ids: [] })).then(
      () => {
        this.#postsStored = this.#posts;
      },
      () => {},
    );
  };

  #end(error: QueueError): void {
    if (this.#ended !== undefined) return;
    process.off('beforeExit', this.#onBeforeExit);
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
