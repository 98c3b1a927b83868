import type { DeadLetter } from './dead-letter.js';
import { checkSelection, forEachSelected, type ScanResult, type SelectionOptions } from './selection.js';
import { beginWalk, type Source } from './source.js';

export interface DeadLetterList extends ScanResult {
  /** The first of the queue first. */
  readonly letters: readonly DeadLetter[];
}

const DEFAULT_LIMIT = 100;

export async function list(source: Source, options: SelectionOptions): Promise<DeadLetterList> {
  const selection = checkSelection('list', options, DEFAULT_LIMIT);
  const letters: DeadLetter[] = [];
  const walk = await beginWalk(source, selection);
  if (walk === undefined) return { total: 0, examined: 0, letters };
  try {
    await forEachSelected(walk, selection, (letter) => {
      letters.push(letter);
      return true;
    });
  } finally {
    await walk.end();
  }
  return { total: walk.total, examined: walk.examined, letters };
}
