/**
 * The store thread. It blocks where LMDB does: for the write lock, which all processes of the folder share, and for
 * the disk. The main thread never does, whatever the disk and the other processes are at; and no handler that keeps
 * the main thread busy ever holds the lock, or has a lease run out.
 */
import { join } from 'node:path';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Doorbell } from './doorbell.js';
import { ExitGate } from './exit-gate.js';
import { LockWatch } from './lock-watch.js';
import type { Outcome } from './outcome.js';
import type { Opened, Reply, Request, StoreSettings } from './protocol.js';
import { storageError } from './storage-error.js';
import { Store } from './store.js';
import { STORE_FILE } from './store-files.js';
import { openTables, type Tables } from './tables.js';
import { isWithoutLocks } from './turnstile.js';

/** How often the thread looks for dead processes, and for what a doorbell may have failed to tell. */
const LOOK_EVERY_MS = 500;
/** How long settlements wait that could not be stored although they were tried alone. */
const TRY_AGAIN_MS = 500;
/** Readers of killed processes keep LMDB from using freed pages again. */
const CHECK_READERS_EVERY_MS = 60_000;
/** What one transaction takes in at most; so it ends within tens of milliseconds. */
const REQUEST_BYTES_PER_TURN = 8 * 1024 * 1024;

if (parentPort === null) throw new Error('the store thread was started as something else');
const port = parentPort;
const { folder, leaseMs, gate: gateMemory, lockWatch: watchMemory }: StoreSettings = workerData;
const gate = new ExitGate(gateMemory);
const watch = new LockWatch(watchMemory);
watch.enter();
const file = join(folder, STORE_FILE);

const inbox: Request[] = [];
/** Settlements that could not be stored. At most as many as there are unsettled deliveries. */
let failed: Request[] = [];
let tryAgain: NodeJS.Timeout | undefined;
let dueTimer: NodeJS.Timeout | undefined;
let settlingAgain = false;
let closing = false;

const tables = openOrTell();
const store = new Store(tables, file, leaseMs, gate);
const doorbell = new Doorbell(folder, () => {
  if (store.isWaiting && store.hasWork) run();
});
const renewing = setInterval(() => {
  if (store.hasLeases) finish(store.renew());
}, leaseMs / 3);
const looking = setInterval(look, LOOK_EVERY_MS);
const checkingReaders = setInterval(() => tables.root.readerCheck(), CHECK_READERS_EVERY_MS);

port.on('message', (requests: Request[]) => {
  inbox.push(...requests);
  run();
});
port.postMessage({} satisfies Opened);

/** An error that ended the thread would arrive without its code. */
function openOrTell(): Tables {
  try {
    return gate.pass(() => openTables(file, watch));
  } catch (error) {
    const { code, message } = storageError(error, file);
    port.postMessage({ code, message, again: isWithoutLocks(error) } satisfies Opened);
    process.exit();
  }
}

/** Transactions until there is nothing more to do. */
function run(): void {
  // What is said after the last word, a late release for example, has been taken care of by closing.
  if (closing) return;
  let unfinished = true;
  while (unfinished || inbox.length > 0) {
    collect();
    unfinished = finish(store.apply(nextRequests()));
    if (closing) return;
    if (failed.length > 0 && inbox.length === 0) break;
  }
  setDueTimer();
}

/** What has arrived meanwhile becomes part of the same transaction, and of the same flush. */
function collect(): void {
  for (let post = receiveMessageOnPort(port); post !== undefined; post = receiveMessageOnPort(port)) {
    inbox.push(...post.message);
  }
}

function nextRequests(): Request[] {
  let bytes = 0;
  let count = 0;
  while (count < inbox.length && bytes < REQUEST_BYTES_PER_TURN) {
    const request = inbox[count++] as Request;
    if (request.kind === 'publish') bytes += request.records.byteLength;
    if (request.kind === 'close') closing = true;
  }
  return inbox.splice(0, count);
}

/** Passes on what came of a transaction. Whether there is more to do right away. */
function finish({ reply, ring, unfinished, failed: again }: Outcome): boolean {
  if (ring) doorbell.ring();
  post(reply);
  if (again.length > 0) {
    failed.push(...again);
    tryAgain ??= setTimeout(settleAgain, settlingAgain ? TRY_AGAIN_MS : 0);
  }
  if (closing) close();
  return unfinished;
}

/** Alone, without what needs room. */
function settleAgain(): void {
  tryAgain = undefined;
  const requests = failed;
  failed = [];
  settlingAgain = true;
  const unfinished = finish(store.settle(requests));
  settlingAgain = false;
  if (unfinished) run();
}

function post(reply: Reply): void {
  const { done, answers, refused, deliveries, lost, ended } = reply;
  if (done.length + answers.length + refused.length + deliveries.length + lost.length + ended.length === 0)
    return;
  port.postMessage(
    reply,
    deliveries.map(({ records }) => records.buffer),
  );
}

function look(): void {
  if (!store.isWaiting) return;
  if (store.hasDead) {
    tables.root.readerCheck();
    if (finish(store.recover())) run();
  }
  if (store.hasWork) run();
  setDueTimer();
}

function setDueTimer(): void {
  clearTimeout(dueTimer);
  const due = store.isWaiting ? store.nextDue : undefined;
  // The wall clock may be set meanwhile, so it is looked at again from time to time.
  if (due !== undefined) dueTimer = setTimeout(run, Math.min(Math.max(due - Date.now(), 0), LOOK_EVERY_MS));
}

function close(): void {
  for (const timer of [renewing, looking, checkingReaders, tryAgain, dueTimer]) clearTimeout(timer);
  doorbell.close();
  store.close().then(
    () => port.close(),
    () => port.close(),
  );
}
