import { StoreLink, type StoreLinkSettings } from './store-link.js';

interface SharedLink {
  readonly link: StoreLink;
  users: number;
  /** Set when the last user has left. */
  closing: Promise<void> | undefined;
}

/** By the folder's one true name: LMDB must not have a file open twice in a process. */
const links = new Map<string, SharedLink>();

/** The link to the folder's store thread: the one that is there, or a new one. */
export async function joinLink(settings: StoreLinkSettings): Promise<StoreLink> {
  const { folder } = settings;
  let shared = links.get(folder);
  while (shared?.closing !== undefined) {
    await shared.closing;
    shared = links.get(folder);
  }
  if (shared === undefined || shared.link.ended !== undefined) {
    shared = { link: new StoreLink(settings), users: 0, closing: undefined };
    links.set(folder, shared);
  }
  shared.users++;
  try {
    await shared.link.opened;
  } catch (error) {
    await leaveLink(shared.link);
    throw error;
  }
  return shared.link;
}

/** Closes the link when nobody else uses it. Always resolves. */
export async function leaveLink(link: StoreLink): Promise<void> {
  const shared = links.get(link.folder);
  // The thread had ended, and others have a new one.
  if (shared?.link !== link) return;
  shared.users--;
  if (shared.users > 0) return;
  shared.closing = link.close();
  await shared.closing;
  if (links.get(link.folder) === shared) links.delete(link.folder);
}
