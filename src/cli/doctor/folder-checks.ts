/** Checks the folder of a `local:` address and the queues in it. */
import { diagnoseFolder, type FolderFacts, type StoreFacts } from '../../diagnose.js';
import type { ChosenAddress } from '../address.js';
import { shellQuoted } from '../common-options.js';
import { EXIT } from '../exit-code.js';
import { type Check, fail, failure, ok, warn } from './check.js';

const MIB = 1024 * 1024;
/** Free space below this is a warning. */
const LITTLE_BYTES = 100 * MIB;
/** The permissions of other users. */
const OTHERS = 0o077;

/** Returns whether the folder exists and can be used. */
export async function* folderChecks(chosen: ChosenAddress, path: string): AsyncGenerator<Check, boolean> {
  let facts: FolderFacts;
  try {
    facts = await diagnoseFolder(path);
  } catch (error) {
    yield failure('folder', error);
    return false;
  }
  const { mode, freeBytes, store } = facts;
  yield ok('address', `local:${facts.path}, from ${chosen.source}`, {
    path: facts.path,
    source: chosen.source,
  });
  if (!facts.exists) {
    yield facts.writable
      ? ok('folder', 'does not exist yet; the first send or work creates it', { exists: false })
      : fail(
          'folder',
          'does not exist, and this user may not create it',
          EXIT.configuration,
          'create it, or use another folder',
        );
  } else if (mode !== undefined && (mode & OTHERS) !== 0) {
    yield warn(
      'folder',
      `open to other users (its mode is ${mode.toString(8)})`,
      `chmod 700 ${shellQuoted(facts.path)}`,
      { mode },
    );
  } else {
    yield ok('folder', 'private to this user', { exists: true, mode });
  }
  yield spaceCheck(freeBytes);
  if (store !== undefined) yield* storeChecks(store);
  return facts.exists;
}

function spaceCheck(freeBytes: number): Check {
  const text = `${Math.floor(freeBytes / MIB)} MiB free`;
  return freeBytes < LITTLE_BYTES
    ? warn('disk', text, 'free some space: on a full disk sends are refused', { freeBytes })
    : ok('disk', text, { freeBytes });
}

function* storeChecks({ bytes, freeBytes, damage, queues, processes }: StoreFacts): Generator<Check> {
  const held = queues.reduce((sum, queue) => sum + queue.held, 0);
  const ready = queues.reduce((sum, queue) => sum + queue.ready, 0);
  const where = queues.length === 1 ? 'one queue' : `${queues.length} queues`;
  yield ok(
    'store',
    `${Math.ceil(bytes / MIB)} MiB on the disk, ${Math.floor(freeBytes / MIB)} MiB of it unused; ${held} messages in ${where}, ${ready} of them ready`,
    { bytes, freeBytes, queues },
  );
  yield damage.length === 0
    ? ok('integrity', 'the pages of the store are intact')
    : fail(
        'integrity',
        `the store is damaged: ${damage[0]}`,
        EXIT.configuration,
        'back it up (millrace backup), then move it away to start with an empty one, and keep it to recover its messages',
        { damage },
      );
  const text =
    processes.length === 0 ? 'no process consumes messages' : `consuming messages: ${processes.join(', ')}`;
  yield ok('processes', text, { processes });
}
