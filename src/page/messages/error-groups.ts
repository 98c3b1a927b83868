/** Dead letters grouped by reason: by their errors without the varying parts. */
import { createHash } from 'node:crypto';
import type { DeadLetter } from '../../dead-letters/dead-letter.js';

const MAX_TEXT = 160;

/** The data shown for a dead letter in a list. */
export interface DeadSummary {
  readonly id: string;
  readonly reason: string;
  /** The first line. */
  readonly error: string;
  readonly attempts: number | undefined;
  /** Milliseconds since the epoch. */
  readonly deadAt: number | undefined;
  readonly bodyBytes: number;
  readonly group: string;
}

export interface DeadGroup {
  readonly key: string;
  readonly reason: string;
  /** The error, with `#` for numbers and ids and `…` for quoted text. */
  readonly text: string;
  readonly count: number;
  readonly first: number | undefined;
  readonly last: number | undefined;
}

/** Replaces numbers, ids and quoted text. */
export function fold(error: string): string {
  const [line = ''] = error.split('\n', 1);
  return line
    .slice(0, 4 * MAX_TEXT)
    .replace(/(?<!\w)(['"`])[^'"`]*\1(?!\w)/g, '$1…$1')
    .replace(/(?<![\w-])[A-Za-z_-]*\d[\w-]*(?:[.:][A-Za-z_-]*\d[\w-]*)*/g, '#')
    .slice(0, MAX_TEXT)
    .toWellFormed();
}

export function groupOf({ reason, error }: Pick<DeadLetter, 'reason' | 'error'>): string {
  return createHash('sha256')
    .update(`${reason}\0${fold(error)}`)
    .digest('hex')
    .slice(0, 12);
}

export function summaryOf(deadLetter: DeadLetter, bodyBytes: number): DeadSummary {
  const { id, reason, error, attempts, deadAt } = deadLetter;
  return {
    id,
    reason,
    error: (error.split('\n', 1)[0] ?? '').slice(0, 2 * MAX_TEXT).toWellFormed(),
    attempts,
    deadAt: deadAt === undefined ? undefined : Date.parse(deadAt),
    bodyBytes,
    group: groupOf(deadLetter),
  };
}

/** The largest group comes first. */
export function groupsOf(summaries: readonly DeadSummary[]): readonly DeadGroup[] {
  const groups = new Map<string, DeadGroup>();
  for (const { group, reason, error, deadAt } of summaries) {
    const known = groups.get(group);
    groups.set(group, {
      key: group,
      reason,
      text: known?.text ?? fold(error),
      count: (known?.count ?? 0) + 1,
      first: earlier(known?.first, deadAt),
      last: later(known?.last, deadAt),
    });
  }
  return [...groups.values()].sort((one, other) => other.count - one.count);
}

function earlier(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
}

function later(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.max(one, other);
}
