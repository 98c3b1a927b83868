import { booleanOption } from '../common/options.js';
import type { DeadLetter } from './dead-letter.js';
import { checkSelection, forEachSelected, type ScanResult, type SelectionOptions } from './selection.js';
import { beginWalk, type Source } from './source.js';

export interface DropOptions extends SelectionOptions {
  /** Drop none, only say which. Default: false. */
  readonly dryRun?: boolean | undefined;
  /** Told of each letter, right before it is dropped. What it throws ends the drop. */
  readonly observe?: ((letter: DeadLetter) => void) | undefined;
}

export interface DropResult extends ScanResult {
  /** How many were dropped; with `dryRun`, would be. */
  readonly dropped: number;
}

export async function drop(source: Source, options: DropOptions): Promise<DropResult> {
  const selection = checkSelection('drop', options, Number.POSITIVE_INFINITY, ['dryRun', 'observe']);
  const dryRun = booleanOption('dryRun', options.dryRun, false);
  let dropped = 0;
  const walk = await beginWalk(source, selection);
  if (walk === undefined) return { total: 0, examined: 0, dropped };
  try {
    await forEachSelected(walk, selection, (letter, delivery) => {
      // One whose link was lost is in the queue again, and comes again.
      if (!walk.holds(delivery)) return false;
      options.observe?.(letter);
      if (!dryRun) walk.remove(delivery);
      dropped++;
      return true;
    });
  } finally {
    await walk.end();
  }
  return { total: walk.total, examined: walk.examined, dropped };
}
