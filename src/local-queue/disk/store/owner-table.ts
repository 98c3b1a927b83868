import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Database } from './database.js';
import type { Row, Statements } from './sqlite.js';

const SQL = {
  insert:
    'INSERT INTO owners (pid, thread, started, namespace, boot, valid_until, host, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id',
  isRegistered: 'SELECT 1 FROM owners WHERE id = ? AND gone = 0',
  renew: 'UPDATE owners SET valid_until = ? WHERE id = ? AND gone = 0',
  markAsGone: 'UPDATE owners SET gone = 1 WHERE id = ?',
  delete: 'DELETE FROM owners WHERE id = ?',
  gone: 'SELECT id FROM owners WHERE gone = 1 ORDER BY id',
  others:
    'SELECT id, valid_until, pid, thread, started, namespace, boot FROM owners WHERE id <> ? AND gone = 0',
  subscribe:
    'INSERT INTO subscribers (queue, owner, count, since) VALUES (?, ?, ?, ?) ON CONFLICT (queue, owner) DO UPDATE SET count = excluded.count',
  noteSettled: 'UPDATE subscribers SET settled_at = ? WHERE queue = ? AND owner = ?',
  unsubscribe: 'DELETE FROM subscribers WHERE queue = ? AND owner = ?',
  unsubscribeAll: 'DELETE FROM subscribers WHERE owner = ?',
  subscribedQueues: 'SELECT queue FROM subscribers WHERE owner = ?',
  subscribers: 'SELECT sum(count) FROM subscribers WHERE queue = ?',
};

/**
 * The owners of messages: store threads, each for its process, for as long as they renew their lease. One that is found
 * dead, or has not renewed in time, is marked as gone. From then on any process may return its messages, and the owner
 * finds the mark at its next transaction.
 */
export class OwnerTable {
  readonly #leaseMs: number;
  readonly #self = ownIdentity();
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database, leaseMs: number) {
    this.#leaseMs = leaseMs;
    this.#sql = database.prepareAll(SQL);
  }

  register(): number {
    const { pid, thread, started, namespace, boot } = this.#self;
    const validUntil = bootClock() + this.#leaseMs;
    return this.#sql.insert.number(pid, thread, started, namespace, boot, validUntil, hostname(), Date.now());
  }

  isRegistered(id: number): boolean {
    return this.#sql.isRegistered.first(id) !== undefined;
  }

  renew(id: number): void {
    this.#sql.renew.run(bootClock() + this.#leaseMs, id);
  }

  /** Returns the queues that it had subscribed to. */
  unregister(id: number): number[] {
    this.#sql.markAsGone.run(id);
    const queues = this.#sql.subscribedQueues.all(id).map(([queue]) => Number(queue));
    this.#sql.unsubscribeAll.run(id);
    return queues;
  }

  /** Its messages have been returned. */
  forget(id: number): void {
    this.#sql.delete.run(id);
  }

  /** Those marked as gone, some of whose messages may not be returned yet. */
  gone(): number[] {
    return this.#sql.gone.all().map(([id]) => Number(id));
  }

  /** Owners, other than `self`, that are dead or late and not marked yet. */
  dead(self: number | undefined): number[] {
    return this.#sql.others
      .all(self ?? 0)
      .filter((row) => this.#isDead(row))
      .map(([id]) => Number(id));
  }

  /** Sets the number of an owner's subscribers to a queue. */
  setSubscribers(queue: number, owner: number, count: number): void {
    if (count === 0) this.#sql.unsubscribe.run(queue, owner);
    else this.#sql.subscribe.run(queue, owner, count, Date.now());
  }

  /** Records that an owner has settled a message of a queue now. */
  noteSettled(queue: number, owner: number, now: number): void {
    this.#sql.noteSettled.run(now, queue, owner);
  }

  /** The number of subscribers of a queue, in all processes. */
  subscribers(queue: number): number {
    return this.#sql.subscribers.number(queue);
  }

  #isDead([, validUntil, ...identity]: Row): boolean {
    return isGone(identityOf(identity), this.#self) || !(Number(validUntil) >= bootClock());
  }
}

/** The processes that consume messages, as far as they are visible from here. */
export function livingProcesses(database: Database): number[] {
  const self = ownIdentity();
  const rows = database
    .prepare('SELECT pid, thread, started, namespace, boot FROM owners WHERE gone = 0')
    .all();
  const living = rows.map(identityOf).filter((owner) => !isGone(owner, self));
  return [...new Set(living.map(({ pid }) => pid))];
}

function identityOf([pid, thread, started, namespace, boot]: Row): ProcessIdentity {
  return {
    pid: Number(pid),
    thread: String(thread),
    started: String(started),
    namespace: String(namespace),
    boot: String(boot),
  };
}

/**
 * Distinguishes a thread of a process from all others that ever have its number. Empty if unavailable (outside Linux).
 */
interface ProcessIdentity {
  readonly pid: number;
  /** The system's number of the thread. */
  readonly thread: string;
  /** When the thread started, in the kernel's unit. */
  readonly started: string;
  /** Process ids are only meaningful within one namespace: each container has its own. */
  readonly namespace: string;
  /** Changes with every start of the machine. */
  readonly boot: string;
}

/** The owner of the calling thread. */
function ownIdentity(): ProcessIdentity {
  // <pid>/task/<tid>
  const thread = orEmpty(() => readlinkSync('/proc/thread-self')).split('/')[2] ?? '';
  return {
    pid: process.pid,
    thread,
    started: threadState(process.pid, thread)?.started ?? '',
    namespace: orEmpty(() => readlinkSync('/proc/self/ns/pid')),
    boot: bootId(),
  };
}

/** Changes with every start of the machine. Empty if the system does not report it. */
export function bootId(): string {
  return orEmpty(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}

/** Whether the thread is certainly gone. False if that can't be known: then its lease has to expire. */
function isGone(other: ProcessIdentity, self: ProcessIdentity): boolean {
  if (other.boot !== self.boot) return true;
  if (other.namespace !== self.namespace) return false;
  if (self.started === '' || other.started === '') return !exists(other.pid);
  const state = threadState(other.pid, other.thread);
  return state === undefined || state.dead || state.started !== other.started;
}

/**
 * Milliseconds on a monotonic clock that all processes of one boot share. It stops while the machine sleeps, as the
 * leases do.
 */
export function bootClock(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

function threadState(
  pid: number,
  thread: string,
): { readonly started: string; readonly dead: boolean } | undefined {
  const text = orEmpty(() => readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1'));
  if (text === '') return undefined;
  // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // A zombie has ended, but its parent has not reaped it.
  return { started: fields[19] ?? '', dead: fields[0] === 'Z' || fields[0] === 'X' };
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
