/** What a folder of queues looks like to those who send and work through it. */
import { diagnoseFolder, type FolderFacts, type StoreFacts } from '../../diagnose.js';
import type { ChosenAddress } from '../address.js';
import { EXIT } from '../exit-code.js';
import { type Check, fail, failure, ok, warn } from './check.js';

const MIB = 1024 * 1024;
/** Less than this is soon used up. */
const LITTLE_BYTES = 100 * MIB;
/** What others may do with the folder. */
const OTHERS = 0o077;

/** Says at the end whether there is a store that can be used. */
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
      ? ok('folder', 'is not there yet; the first send or work makes it', { exists: false })
      : fail(
          'folder',
          'is not there, and there is no permission to make it',
          EXIT.configuration,
          'make it, or name another',
        );
  } else if (mode !== undefined && (mode & OTHERS) !== 0) {
    yield warn(
      'folder',
      `other users may look into it or write to it (its mode is ${mode.toString(8)})`,
      `chmod 700 ${facts.path}`,
      { mode },
    );
  } else {
    yield ok('folder', 'can be used, by this user alone', { exists: true, mode });
  }
  yield spaceCheck(freeBytes);
  if (store !== undefined) yield* storeChecks(store);
  return facts.exists;
}

function spaceCheck(freeBytes: number): Check {
  const text = `${Math.floor(freeBytes / MIB)} MiB are free`;
  return freeBytes < LITTLE_BYTES
    ? warn('disk', text, 'make room: without any, sends wait and are refused', { freeBytes })
    : ok('disk', text, { freeBytes });
}

function* storeChecks({ bytes, freeBytes, damage, queues, processes }: StoreFacts): Generator<Check> {
  const held = queues.reduce((sum, queue) => sum + queue.held, 0);
  const ready = queues.reduce((sum, queue) => sum + queue.ready, 0);
  const of = queues.length === 1 ? 'one queue' : `${queues.length} queues`;
  yield ok(
    'store',
    `${Math.ceil(bytes / MIB)} MiB, ${Math.floor(freeBytes / MIB)} MiB of it free for new messages; ${held} messages in ${of}, ${ready} of them ready`,
    { bytes, freeBytes, queues },
  );
  yield damage.length === 0
    ? ok('integrity', 'the pages of the store are whole')
    : fail(
        'integrity',
        `the store is damaged: ${damage[0]}`,
        EXIT.configuration,
        'back it up (millrace backup), then move it away to begin anew, and keep it to rescue what it holds',
        { damage },
      );
  const numbers =
    processes.length === 0 ? 'no process takes messages' : `taken from by ${processes.join(', ')}`;
  yield ok('processes', numbers, { processes });
}
