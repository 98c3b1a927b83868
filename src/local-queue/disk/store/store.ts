import type { Request } from '../protocol.js';
import { admitWaiting } from './admission.js';
import { Database } from './database.js';
import { answerWakeFlags, deliver } from './deliver.js';
import { DiskSpace } from './disk-space.js';
import { ExchangeTable } from './exchange-table.js';
import { DelayedMessages } from './messages/delayed-messages.js';
import { ExpiredMessages } from './messages/expired-messages.js';
import { MessageTable } from './messages/message-table.js';
import { OwnerTable } from './owner-table.js';
import { QueueTable } from './queue-table.js';
import { applyRequest, areOfCommitOnly, isRead, sizeOf } from './requests.js';
import { RateGrantTable } from './shared/rate-grant-table.js';
import { SharedStateTable } from './shared/state-table.js';
import type { Statement } from './sqlite.js';
import { isBusy, isFatal, storageError } from './storage-error.js';
import { StoreFiles } from './store-files.js';
import { StoreState } from './store-state.js';
import { loseLease, reclaimMessages } from './subscribers.js';
import {
  emptyReply,
  failedResult,
  MAX_ROWS_PER_TRANSACTION,
  type TransactionParts,
  type TransactionResult,
  WriteTransaction,
} from './transaction.js';
import { StoreView } from './view/store-view.js';
import { giveUpWaiting } from './waiting-publishes.js';
import type { WriteLock } from './write-lock.js';

/** The store on disk as the store thread works with it: requests in, replies out, one transaction at a time. */
export class Store {
  readonly #lock: WriteLock;
  readonly #database: Database;
  readonly #files: StoreFiles;
  readonly #space: DiskSpace;
  readonly #queues: QueueTable;
  readonly #messages: MessageTable;
  readonly #expired: ExpiredMessages;
  readonly #state = new StoreState();
  readonly #parts: TransactionParts;
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #view: StoreView;
  #flushes = true;
  /** The last transaction left something to do. */
  #isUnfinished = false;

  /** Throws SQLite's errors, and `STORAGE_ERROR`. */
  constructor(folder: string, leaseMs: number, lock: WriteLock) {
    this.#lock = lock;
    const database = new Database(folder, lock);
    this.#database = database;
    this.#files = new StoreFiles(database);
    this.#space = new DiskSpace(database);
    this.#queues = new QueueTable(database);
    this.#messages = new MessageTable(database, this.#queues);
    this.#expired = new ExpiredMessages(database);
    this.#parts = {
      queues: this.#queues,
      exchanges: new ExchangeTable(database, this.#queues),
      messages: this.#messages,
      delayed: new DelayedMessages(database, this.#messages, this.#queues),
      owners: new OwnerTable(database, leaseMs),
      states: new SharedStateTable(database),
      rates: new RateGrantTable(database),
      state: this.#state,
    };
    this.#view = new StoreView(database, lock, this.#queues);
    this.#begin = database.prepare('BEGIN IMMEDIATE');
    this.#commit = database.prepare('COMMIT');
  }

  /** Applies requests in one transaction, admits waiting publishers, and delivers messages. Does not throw. */
  apply(requests: readonly Request[]): TransactionResult {
    const reads = requests.filter(isRead);
    if (reads.length === 0) return this.#transact(requests, this.#admits(requests));
    const others = requests.filter((request) => !isRead(request));
    const outcome =
      others.length > 0 || this.#isBehind
        ? this.#transact(others, this.#admits(others), reclaimMessages)
        : { reply: emptyReply(), wakesOthers: false, unfinished: false, failed: [] };
    if (outcome.reply.fatal === undefined) this.#view.answer(reads, outcome.reply);
    return outcome;
  }

  /** Applies settlements that could not be stored before, and nothing else. */
  settle(requests: readonly Request[]): TransactionResult {
    return this.#transact(requests, false);
  }

  /** Removes those that wait for room, and returns them. Before a transaction, or while it waits for the lock. */
  giveUp(ids: ReadonlySet<number>): number[] {
    return giveUpWaiting(this.#state, ids);
  }

  /** Says that this process lives. */
  renew(): TransactionResult {
    return this.#transact([], this.#admits([]), ({ owners, state }) => {
      if (state.owner !== undefined) owners.renew(state.owner);
    });
  }

  /** Returns the messages of dead processes. */
  reclaim(): TransactionResult {
    return this.#transact([], this.#admits([]), reclaimMessages);
  }

  /** Whether an owner is dead or late, or one that was still has messages. Reads only. */
  get hasDead(): boolean {
    const { owners, state } = this.#parts;
    return this.#read(() => owners.dead(state.owner).length > 0 || owners.gone().length > 0);
  }

  /** Whether another process may have created work for this one: messages for its subscribers, room for its senders. */
  get hasWork(): boolean {
    return this.#read(() => {
      const { subscribers } = this.#state;
      this.#queues.begin();
      if (this.#anyWaits || this.#queues.removed !== undefined) return true;
      for (const { active, queue: name, prefetch, inspects, unsettled } of subscribers.values()) {
        if (!active) continue;
        const queue = this.#queues.byName(name);
        // It was removed.
        if (queue === undefined) return true;
        if (unsettled.size >= prefetch || (queue.paused && !inspects)) continue;
        const { ready, wantsMessages } = this.#queues.counters(queue);
        if (ready > 0 || !wantsMessages) return true;
      }
      const now = Date.now();
      return this.#messages.nextDue(now) <= now;
    });
  }

  /** When the next delayed message is due, or one expires, in milliseconds since 1970; infinite: none, or not known now. */
  nextDue(now: number): number {
    try {
      return this.#lock.alone(() => this.#messages.nextDue(now));
    } catch {
      return Number.POSITIVE_INFINITY;
    }
  }

  /** Whether other processes could give this one something to do. */
  get isWaiting(): boolean {
    return this.#state.subscribers.size > 0 || this.#anyWaits;
  }

  /** Whether the files seem removed, replaced or cut off. The next transaction reports it. */
  get seemsDamaged(): boolean {
    return this.#lock.alone(() => this.#files.seemChanged);
  }

  /** Whether anything waits for room. */
  get #anyWaits(): boolean {
    const { waiting, fanOuts } = this.#state;
    return waiting.size > 0 || fanOuts.size > 0;
  }

  get isOwner(): boolean {
    return this.#state.owner !== undefined;
  }

  /** Returns a little unused room to the file system. */
  tidy(): void {
    try {
      this.#lock.alone(() => this.#space.giveBack());
    } catch {
      // Others have the lock, or the disk is full: another time.
    }
  }

  close(): void {
    this.#lock.alone(() => this.#database.close());
  }

  #transact(
    requests: readonly Request[],
    admits: boolean,
    work: (transaction: WriteTransaction) => void = () => {},
  ): TransactionResult {
    const transaction = new WriteTransaction(this.#parts);
    try {
      const isToCheck = performance.now() >= this.#files.checkedUntil;
      if (isToCheck) this.#files.check();
      const isTight = performance.now() >= this.#space.ampleUntil;
      if (isTight && admits) this.#lock.alone(() => this.#space.check(sizeOf(requests)));
      this.#setDurability(!this.#mayBeUndone(requests));
      this.#lock.take(() => this.#begin.run());
      this.#lock.alone(() => {
        try {
          if (isToCheck) this.#files.checkSize();
          transaction.queues.begin();
          if (transaction.hasLostLease) loseLease(transaction);
          this.#removeSome(transaction);
          const now = Date.now();
          if (transaction.messages.nextDue(now) <= now) {
            transaction.delayed.makeReady(now, MAX_ROWS_PER_TRANSACTION);
            this.#expired.remove(transaction, now);
          }
          for (const request of requests) if (!isRead(request)) applyRequest(transaction, request);
          work(transaction);
          if (admits) admitWaiting(transaction);
          deliver(transaction);
          answerWakeFlags(transaction);
          transaction.queues.end();
          this.#commit.run();
        } catch (error) {
          this.#database.rollBack();
          throw error;
        }
      });
      if (isTight) this.#spareSpace();
    } catch (thrown) {
      const cause = this.#causeOf(thrown);
      transaction.fail();
      const error = storageError(cause, this.#database.file);
      const outcome = failedResult(requests, transaction.admitted, error);
      if (isFatal(cause)) outcome.reply.fatal = { code: error.code, message: error.message };
      return outcome;
    } finally {
      this.#lock.released();
    }
    const { reply, wakesOthers, unfinished } = transaction;
    this.#isUnfinished = unfinished;
    return { reply, wakesOthers, unfinished, failed: [] };
  }

  /** SQLite's errors for removed files are misleading. */
  #causeOf(error: unknown): unknown {
    try {
      this.#files.check();
      return error;
    } catch (replaced) {
      return replaced;
    }
  }

  #spareSpace(): void {
    try {
      this.#lock.alone(() => this.#space.spare());
    } catch {
      // Commits stay committed. The next transaction reports a fault.
    }
  }

  /** Whether the transaction admits messages; one that only moves and removes some has room even on a full disk. */
  #admits(requests: readonly Request[]): boolean {
    return this.#anyWaits || requests.some(({ kind }) => kind === 'publish' || kind === 'change-state');
  }

  /**
   * Whether it only admits messages, from senders that all chose `commit`. Transactions that deliver or settle are
   * flushed: a power failure that undid them would redeliver messages without their mark.
   */
  #mayBeUndone(requests: readonly Request[]): boolean {
    if (this.isWaiting || requests.length === 0) return false;
    return areOfCommitOnly(requests);
  }

  #setDurability(flushes: boolean): void {
    if (flushes === this.#flushes) return;
    this.#lock.alone(() => this.#database.exec(`PRAGMA synchronous = ${flushes ? 'FULL' : 'NORMAL'}`));
    this.#flushes = flushes;
  }

  /** The messages of a removed queue. */
  #removeSome(transaction: WriteTransaction): void {
    const { queues, messages } = transaction;
    const id = queues.removed;
    if (id === undefined) return;
    if (messages.purgeRemoved(id, MAX_ROWS_PER_TRANSACTION) < MAX_ROWS_PER_TRANSACTION)
      queues.forgetRemoved(id);
    if (queues.removed !== undefined) transaction.unfinished = true;
  }

  /** Whether the stored state is outdated: something is due, or was left by a process that died. */
  get #isBehind(): boolean {
    return this.#isUnfinished || this.seemsDamaged || this.hasWork || this.hasDead;
  }

  /** The present state of the database; false, too, if others keep SQLite from reading. */
  #read(read: () => boolean): boolean {
    try {
      return this.#lock.alone(read);
    } catch (error) {
      // A transaction will report the fault.
      return !isBusy(error);
    }
  }
}
