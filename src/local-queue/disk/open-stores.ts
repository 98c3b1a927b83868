import { quote } from '../../common/options.js';
import { within } from '../../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../../errors.js';
import { prepareFolder } from './folder.js';
import { lockHolder } from './lock-holder.js';
import { StoreClient } from './store-client.js';
import type { StoreWorkerSettings } from './store-worker.js';

interface OpenStore {
  readonly client: StoreClient;
  users: number;
  /** Set when the last user has left. */
  closing: Promise<void> | undefined;
}

/** By the folder's canonical path: all brokers of this thread share one store thread for it. */
const stores = new Map<string, OpenStore>();

/**
 * Prepares the folder, and returns the client of its store thread: an existing or a new one. `UNREACHABLE` if that
 * takes too long.
 */
export async function openStore(
  folder: string,
  settings: Omit<StoreWorkerSettings, 'folder'>,
  limitMs: number,
): Promise<StoreClient> {
  const begin = performance.now();
  const path = await inTime(
    prepareFolder(folder),
    folder,
    limitMs,
    limitMs,
    () => 'its file system is not responding',
  );
  const leftMs = Math.max(1, limitMs - (performance.now() - begin));
  const joining = join({ ...settings, folder: path });
  const reason = () =>
    lockHolder(path) ?? 'another process holds the lock and is stalled, or the disk is not responding';
  try {
    return await inTime(joining, path, leftMs, limitMs, reason);
  } catch (error) {
    joining.then(
      (client) => leaveStore(client),
      () => {},
    );
    throw error;
  }
}

/** A step of opening a folder, or `UNREACHABLE` with the reason if it takes longer than its limit. */
async function inTime<T>(
  step: Promise<T>,
  folder: string,
  leftMs: number,
  limitMs: number,
  reason: () => string,
): Promise<T> {
  try {
    return await within(step, `opening ${folder}`, { timeoutMs: leftMs });
  } catch (error) {
    if (!isQueueError(error, 'TIMEOUT')) throw error;
    throw new QueueError(
      'UNREACHABLE',
      `the folder ${quote(folder)} could not be opened within ${Math.ceil(limitMs)} ms: ${reason()}`,
    );
  }
}

async function join(settings: StoreWorkerSettings): Promise<StoreClient> {
  const { folder } = settings;
  for (let last = endOfLast(folder); last !== undefined; last = endOfLast(folder)) await last;
  let shared = stores.get(folder);
  if (shared === undefined) {
    shared = { client: new StoreClient(settings), users: 0, closing: undefined };
    stores.set(folder, shared);
    if (stores.size === 1) process.on('beforeExit', flushAll);
  }
  shared.users++;
  try {
    await shared.client.open();
    return shared.client;
  } catch (error) {
    await leaveStore(shared.client);
    throw error;
  }
}

/** Closes the client when it has no other users. Always resolves. */
export async function leaveStore(client: StoreClient, limitMs?: number): Promise<void> {
  const shared = stores.get(client.folder);
  // The thread had ended, and others have a new one.
  if (shared?.client !== client) return;
  shared.users--;
  if (shared.users > 0) return;
  shared.closing = client.exited.then(() => forget(client));
  await client.close(limitMs);
}

/** The end of an existing client that can't be used any more: then its thread has nothing open. */
function endOfLast(folder: string): Promise<void> | undefined {
  const shared = stores.get(folder);
  if (shared?.closing !== undefined) return shared.closing;
  if (shared?.client.ended === undefined) return undefined;
  return shared.client.exited.then(() => forget(shared.client));
}

function forget(client: StoreClient): void {
  if (stores.get(client.folder)?.client !== client) return;
  stores.delete(client.folder);
  if (stores.size === 0) process.off('beforeExit', flushAll);
}

function flushAll(): void {
  for (const { client } of stores.values()) client.flush();
}
