import { setTimeout as delay } from 'node:timers/promises';
import { StoreLink, type StoreLinkSettings } from './store-link.js';

interface SharedLink {
  readonly link: StoreLink;
  users: number;
  /** Set when the last user has left. */
  closing: Promise<void> | undefined;
}

/** By the folder's one true name: LMDB must not have a file open twice in a process. */
const links = new Map<string, SharedLink>();

/** Where others open and close the store at the same time, over and over. */
const TRIES = 20;
const LONGEST_PAUSE_MS = 20;

/** The link to the folder's store thread: the one that is there, or a new one. */
export async function joinLink(settings: StoreLinkSettings): Promise<StoreLink> {
  const { folder } = settings;
  for (let tries = 1; ; tries++) {
    for (let last = endOfLast(folder); last !== undefined; last = endOfLast(folder)) await last;
    let shared = links.get(folder);
    if (shared === undefined) {
      shared = { link: new StoreLink(settings), users: 0, closing: undefined };
      links.set(folder, shared);
    }
    shared.users++;
    try {
      await shared.link.opened;
      return shared.link;
    } catch (error) {
      await leaveLink(shared.link);
      if (!shared.link.isWorthAnotherTry || tries === TRIES) throw error;
    }
    await delay(Math.random() * LONGEST_PAUSE_MS);
  }
}

/** What to wait for where the link that is there can't be used any more: then its thread holds nothing of the file. */
function endOfLast(folder: string): Promise<void> | undefined {
  const shared = links.get(folder);
  if (shared?.closing !== undefined) return shared.closing;
  if (shared?.link.ended === undefined) return undefined;
  return shared.link.exited.then(() => {
    if (links.get(folder) === shared) links.delete(folder);
  });
}

/** Closes the link when nobody else uses it. Always resolves. */
export async function leaveLink(link: StoreLink): Promise<void> {
  const shared = links.get(link.folder);
  // The thread had ended, and others have a new one.
  if (shared?.link !== link) return;
  shared.users--;
  if (shared.users > 0) return;
  shared.closing = link.exited.then(() => {
    if (links.get(link.folder) === shared) links.delete(link.folder);
  });
  await link.close();
}
