/**
 * The store thread. It blocks when SQLite does, and while others hold the write lock, which all processes of the folder
 * share. The main thread never blocks, regardless of the disk and the other processes; and a handler that keeps the
 * main thread busy neither holds the lock nor lets a lease expire.
 */
import { join } from 'node:path';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { lockHolder } from '../lock-holder.js';
import type { Opened, Posted, Reply, Request, StoreSettings } from '../protocol.js';
import { WakeFile } from '../wake-file.js';
import { STORE_FILE } from './database.js';
import { ExitGuard } from './sqlite.js';
import { storageError } from './storage-error.js';
import { Store } from './store.js';
import { emptyReply, type TransactionResult } from './transaction.js';
import { WriteLock } from './write-lock.js';

/** How often the thread checks for dead processes, and for changes whose notification was lost. */
const LOOK_EVERY_MS = 500;
/** How long settlements wait that could not be stored even alone. */
const TRY_AGAIN_MS = 500;
/** The most that one transaction admits, so that it ends within tens of milliseconds. */
const REQUEST_BYTES_PER_TRANSACTION = 8 * 1024 * 1024;

if (parentPort === null) throw new Error('the store thread was started as something else');
const port = parentPort;
const { folder, leaseMs, exitGuard }: StoreSettings = workerData;
const lock = new WriteLock(new ExitGuard(exitGuard), () => {
  blocked = true;
  collect();
  blocked = false;
  // No further event announces what was collected here. If no run is in progress that would find it, one is started.
  if (!running && inbox.length > 0) runNext();
});

const inbox: Request[] = [];
/** In the transaction that waits for the lock. */
let applying: Request[] = [];
/** Whether `run` is at work. */
let running = false;
/** The run that follows. */
let next: NodeJS.Immediate | undefined;
/** Whether others have the lock. */
let blocked = false;
/**
 * Settlements that could not be stored, and what has to wait for them. Not many more than there are unsettled deliveries.
 */
let failed: Request[] = [];
let tryAgain: NodeJS.Timeout | undefined;
let dueTimer: NodeJS.Timeout | undefined;
let settlingAgain = false;
let closing = false;

const [store, wakeFile] = openOrTell();
const renewing = setInterval(() => {
  if (store.isOwner) finish(store.renew());
}, leaseMs / 3);
const looking = setInterval(look, LOOK_EVERY_MS);

port.on('message', (posted: Posted[]) => {
  take(posted);
  runCollected();
});
port.postMessage({} satisfies Opened);

/** An error that ends the thread would arrive without its code. */
function openOrTell(): [Store, WakeFile] {
  try {
    const opened = new Store(folder, leaseMs, lock);
    return [opened, new WakeFile(folder, onCall)];
  } catch (error) {
    const { code, message } = storageError(error, join(folder, STORE_FILE));
    port.postMessage({ code, message } satisfies Opened);
    process.exit();
  }
}

function onCall(): void {
  if (!closing && store.isWaiting && store.hasWork) run();
}

function runCollected(): void {
  if (inbox.length > 0) run();
}

/**
 * One transaction, and another one after it if there is more to do. Timers run in between: among several busy processes
 * there is always more to do, and the lease must still be renewed.
 */
function run(): void {
  clearImmediate(next);
  next = undefined;
  // Closing has already covered later messages, such as a late release.
  if (closing) return;
  running = true;
  collect();
  if (failed.length > 0 && inbox.some(returnsDeliveries)) settleFailed();
  if (closing) return;
  applying = nextRequests();
  const outcome = store.apply(applying);
  applying = [];
  const unfinished = finish(outcome);
  running = false;
  if (closing) return;
  if (inbox.length > 0 || (unfinished && failed.length === 0)) runNext();
  else setDueTimer();
}

function runNext(): void {
  next ??= setImmediate(run);
}

/** Requests that have arrived meanwhile become part of the same transaction and flush. */
function collect(): void {
  for (let post = receiveMessageOnPort(port); post !== undefined; post = receiveMessageOnPort(port)) {
    take(post.message);
  }
}

function take(posted: readonly Posted[]): void {
  for (const one of posted) {
    if (one.kind === 'give-up') giveUp(new Set(one.ids));
    else inbox.push(one);
  }
}

/** Runs even while a transaction waits for the lock, so that a call which gives up gets its response at once. */
function giveUp(ids: Set<number>): void {
  const refused: number[] = [];
  for (const request of [...applying, ...inbox]) {
    if (request.kind !== 'publish' || !mayHold(request.ids, ids)) continue;
    for (const [index, id] of request.ids.entries()) {
      if (!ids.delete(id)) continue;
      request.ids[index] = -id;
      refused.push(id);
    }
  }
  refused.push(...store.giveUp(ids));
  if (refused.length === 0) return;
  const message = blocked ? (lockHolder(folder) ?? '') : '';
  post({ ...emptyReply(), refused: refused.map((id) => ({ id, code: 'GIVEN_UP', message })) });
}

/** Whether any wanted id may be among the numbers, which are in ascending order, ignoring their sign. */
function mayHold(numbers: readonly number[], wanted: ReadonlySet<number>): boolean {
  const [first = 0, last = 0] = [numbers[0], numbers.at(-1)].map((number) => Math.abs(number ?? 0));
  for (const id of wanted) if (id >= first && id <= last) return true;
  return false;
}

function nextRequests(): Request[] {
  let bytes = 0;
  let count = 0;
  while (count < inbox.length && bytes < REQUEST_BYTES_PER_TRANSACTION) {
    const request = inbox[count++] as Request;
    if (request.kind === 'publish') bytes += request.size;
    if (request.kind === 'close') closing = true;
  }
  const requests = inbox.splice(0, count);
  if (failed.length === 0) return requests;
  if (closing) return [...failed.splice(0), ...requests];
  failed.push(...requests.filter(returnsDeliveries));
  return requests.filter((request) => !returnsDeliveries(request));
}

/** Whether it returns unsettled deliveries. Settlements that failed go first, or messages that were handled come again. */
function returnsDeliveries({ kind }: Request): boolean {
  return kind === 'unsubscribe' || kind === 'close';
}

/** What returns deliveries goes last: of two transactions that failed, the later one may have held the settlement. */
function settlementsFirst(requests: readonly Request[]): Request[] {
  const settlements = requests.filter((request) => !returnsDeliveries(request));
  return [...settlements, ...requests.filter(returnsDeliveries)];
}

/** Passes on the results of a transaction. Returns whether there is more to do right away. */
function finish({ reply, wakesOthers, unfinished, failed: again }: TransactionResult): boolean {
  if (wakesOthers) wakeFile.wakeOthers();
  post(reply);
  if (reply.fatal !== undefined) closing = true;
  failed = reply.fatal === undefined ? settlementsFirst([...failed, ...again]) : [];
  if (closing) close();
  else if (failed.length > 0) tryAgain ??= setTimeout(settleAgain, settlingAgain ? TRY_AGAIN_MS : 0);
  return unfinished;
}

function settleAgain(): void {
  if (settleFailed()) run();
}

/** Alone, without requests that need room. Returns whether there is more to do right away. */
function settleFailed(): boolean {
  const requests = failed;
  failed = [];
  clearTimeout(tryAgain);
  tryAgain = undefined;
  settlingAgain = true;
  const unfinished = finish(store.settle(requests));
  settlingAgain = false;
  return unfinished;
}

function post(reply: Reply): void {
  const { deliveries, fatal, ...others } = reply;
  let count = deliveries.length;
  for (const list of Object.values(others)) count += list.length;
  if (count === 0 && fatal === undefined) return;
  const buffers = deliveries.map(({ messages }) => messages.bytes.buffer);
  port.postMessage(
    reply,
    buffers.filter(({ byteLength }) => byteLength > 0),
  );
}

function look(): void {
  if (store.hasDead && finish(store.reclaim())) run();
  if (closing) return;
  if (store.seemsDamaged || (store.isWaiting && store.hasWork)) run();
  if (closing) return;
  setDueTimer();
  store.tidy();
}

function setDueTimer(): void {
  clearTimeout(dueTimer);
  const now = Date.now();
  const due = store.isWaiting ? store.nextDue(now) : Number.POSITIVE_INFINITY;
  // The wall clock may be set meanwhile, so it is read again from time to time.
  if (due !== Number.POSITIVE_INFINITY)
    dueTimer = setTimeout(onDue, Math.min(Math.max(due - now, 0), LOOK_EVERY_MS));
}

/** A transaction only if something is due: each costs a flush. */
function onDue(): void {
  if (store.hasWork) run();
  else setDueTimer();
}

function close(): void {
  // The last try: settlements may have failed because of the requests along with them.
  if (failed.length > 0) {
    const { reply, wakesOthers } = store.settle(failed);
    if (wakesOthers) wakeFile.wakeOthers();
    post(reply);
  }
  for (const timer of [renewing, looking, tryAgain, dueTimer]) clearTimeout(timer);
  wakeFile.close();
  store.close();
  port.close();
}
