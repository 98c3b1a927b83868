import { answerBells } from './bells.js';
import { deliver } from './deliver.js';
import type { ExitGate } from './exit-gate.js';
import { admit } from './let-in.js';
import { MessageTable } from './message-table.js';
import { type Outcome, refuse } from './outcome.js';
import { OwnerTable } from './owner-table.js';
import { FLUSH, type Request } from './protocol.js';
import { QueueTable } from './queue-table.js';
import { checkOwnLease, putBackOfTheDead, strangers } from './recover.js';
import { applyRequest } from './requests.js';
import { giveUpReserve, restoreReserve } from './reserve.js';
import { storageError } from './storage-error.js';
import { closeTables, type Tables, transact } from './tables.js';
import { Memory, STEPS_PER_TURN, Turn } from './turn.js';

/** The store on disk as the store thread works with it: requests in, replies out, one transaction at a time. */
export class Store {
  readonly #tables: Tables;
  readonly #file: string;
  readonly #queues: QueueTable;
  readonly #messages: MessageTable;
  readonly #owners: OwnerTable;
  readonly #memory = new Memory();
  readonly #gate: ExitGate;

  constructor(tables: Tables, file: string, leaseMs: number, gate: ExitGate) {
    this.#gate = gate;
    this.#tables = tables;
    this.#file = file;
    this.#queues = new QueueTable(tables);
    this.#messages = new MessageTable(tables, this.#queues);
    this.#owners = new OwnerTable(tables, leaseMs);
  }

  /** Applies requests in one transaction, lets in who waits, and hands out messages. Does not throw. */
  apply(requests: readonly Request[]): Outcome {
    return this.#turn(requests, (turn) => {
      for (const request of requests) applyRequest(turn, request);
    });
  }

  /** Applies settlements that could not be stored before, and nothing besides. */
  settle(requests: readonly Request[]): Outcome {
    return this.#turn(
      requests,
      (turn) => {
        for (const request of requests) applyRequest(turn, request);
      },
      false,
    );
  }

  /** Says that this process lives. */
  renew(): Outcome {
    return this.#turn([], ({ owners, memory }) => {
      if (memory.owner !== undefined) owners.renew(memory.owner);
    });
  }

  /** Puts back what is leased to processes that are no more. */
  recover(): Outcome {
    return this.#turn([], putBackOfTheDead);
  }

  /** Whether a process that has leases is dead or late. Reads only. */
  get hasDead(): boolean {
    return this.#read(
      () =>
        this.#owners.dead(this.#memory.owner).length > 0 ||
        strangers({ owners: this.#owners, messages: this.#messages }).length > 0,
    );
  }

  /** Whether another process may have made work for this one: messages for its subscribers, room for its senders. */
  get hasWork(): boolean {
    return this.#read(() => {
      const { subscribers, waiting } = this.#memory;
      this.#queues.begin();
      for (const { active, queue: name, prefetch, unsettled } of subscribers.values()) {
        const queue = this.#queues.byName(name);
        const counters = queue && this.#queues.counters(queue);
        if (active && unsettled.size < prefetch && counters !== undefined) {
          if (counters.ready > 0 || !counters.hungry) return true;
        }
      }
      return waiting.size > 0 || (this.nextDue ?? Number.POSITIVE_INFINITY) <= Date.now();
    });
  }

  /** When the next delayed message is due, in milliseconds since the epoch. */
  get nextDue(): number | undefined {
    return this.#messages.nextDue();
  }

  /** Whether other processes could give this one something to do. */
  get isWaiting(): boolean {
    return this.#memory.subscribers.size > 0 || this.#memory.waiting.size > 0;
  }

  get hasLeases(): boolean {
    return this.#memory.owner !== undefined;
  }

  close(): Promise<void> {
    // It waits for the turnstile, as a transaction does.
    return this.#gate.pass(() => closeTables(this.#tables));
  }

  #turn(requests: readonly Request[], work: (turn: Turn) => void, letsIn = this.#letsIn(requests)): Outcome {
    const mayBeUndone = this.#mayBeUndone(requests);
    const commit = (turn: Turn): void => {
      this.#gate.pass(() =>
        transact(
          this.#tables,
          () => {
            turn.queues.begin();
            if (letsIn) restoreReserve(this.#tables);
            checkOwnLease(turn);
            turn.messages.makeDueReady(Date.now(), STEPS_PER_TURN);
            work(turn);
            if (letsIn) admit(turn);
            deliver(turn);
            answerBells(turn);
            turn.messages.flush();
            turn.queues.end();
          },
          { mayBeUndone },
        ),
      );
    };
    const turn = this.#newTurn();
    try {
      commit(turn);
      return { ...turn, failed: [] };
    } catch (cause) {
      turn.fail();
      const error = storageError(cause, this.#file);
      if (letsIn || error.code !== 'STORAGE_FULL') return refuse(requests, turn.admitted, error);
    }
    const again = this.#newTurn();
    try {
      this.#gate.pass(() => giveUpReserve(this.#tables));
      commit(again);
      return { ...again, failed: [] };
    } catch (cause) {
      again.fail();
      return refuse(requests, [], storageError(cause, this.#file));
    }
  }

  #newTurn(): Turn {
    return new Turn({
      queues: this.#queues,
      messages: this.#messages,
      owners: this.#owners,
      memory: this.#memory,
    });
  }

  /** Whether the turn is to take in messages; one that only moves and removes some may use the reserve. */
  #letsIn(requests: readonly Request[]): boolean {
    return this.#memory.waiting.size > 0 || requests.some(({ kind }) => kind === 'publish');
  }

  /**
   * Whether it only takes in messages, from senders who have all said that `commit` is enough. Turns that hand out or
   * settle are flushed: a power failure that undid them would have messages come again without their mark.
   */
  #mayBeUndone(requests: readonly Request[]): boolean {
    const { subscribers, waiting } = this.#memory;
    if (subscribers.size > 0 || waiting.size > 0 || requests.length === 0) return false;
    return requests.every(
      (request) => request.kind === 'publish' && request.flags.every((flags) => (flags & FLUSH) === 0),
    );
  }

  /** Reads what is there now, not what was there when this thread last looked. */
  #read<T>(read: () => T): T {
    this.#tables.root.resetReadTxn();
    return read();
  }
}
