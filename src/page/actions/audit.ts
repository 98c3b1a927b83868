/** The audit of actions: the last entries, for the log view, and a line for each elsewhere. */
import { onOneLine } from '../../common/reporting/terminal-text.js';
import type { AuditEntry } from '../page-types.js';

const KEPT = 1000;

export class Audit {
  readonly #kept: AuditEntry[] = [];
  readonly #listener: (entry: AuditEntry) => void;

  constructor(listener: (entry: AuditEntry) => void = writeLine) {
    this.#listener = listener;
  }

  /** The latest entry comes first. */
  get entries(): readonly AuditEntry[] {
    return this.#kept.toReversed();
  }

  add(entry: Omit<AuditEntry, 'at'>): void {
    const complete: AuditEntry = { at: new Date(), ...entry };
    this.#kept.push(complete);
    if (this.#kept.length > KEPT) this.#kept.shift();
    try {
      this.#listener(complete);
    } catch {
      // The action was done, even if its audit fails.
    }
  }
}

/** One line, regardless of the characters in queue names. */
export function auditLine({ user, action, queue, outcome }: AuditEntry): string {
  return onOneLine(`millrace ui: ${user}: ${action} '${queue}': ${outcome}`);
}

function writeLine(entry: AuditEntry): void {
  process.stderr.write(`${entry.at.toISOString()} ${auditLine(entry)}\n`);
}
