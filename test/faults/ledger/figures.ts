import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a run of the ledger comes to. */
export interface Figures {
  readonly fault: string;
  readonly backend: string;
  readonly messages: number;
  readonly confirmed: number;
  readonly unconfirmed: number;
  readonly lost: number;
  /** Messages that went with the queue which an operator deleted. */
  readonly deleted: number;
  /** Handlings beyond the first of a message. */
  readonly duplicates: number;
  /** Messages that were sent again after a lost link. */
  readonly resent: number;
  /** How often the fault struck. */
  readonly faults: number;
  /** For each strike, the time from its end until a message sent after it was handled. */
  readonly recoveryMs: readonly number[];
  /** The peak of the process's memory above that at the start. */
  readonly growthBytes: number;
}

/** Prints the tally, and writes it to the folder FAULTS_REPORT names, where it names one. */
export function publishFigures(figures: Figures): void {
  process.stderr.write(`${tally(figures)}\n`);
  const folder = process.env.FAULTS_REPORT;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  const name = `${figures.fault} ${figures.backend}`.replaceAll(/[^a-z0-9]+/gi, '-');
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(figures, undefined, 2)}\n`);
}

function tally(figures: Figures): string {
  const { fault, backend, messages, confirmed, unconfirmed, lost, deleted, duplicates, resent, faults } =
    figures;
  const times = figures.recoveryMs.map(Math.round).join(', ');
  const recovery = times === '' ? '' : `, back after ${times} ms`;
  return (
    `ledger: ${fault}, ${backend}: ${messages} sent, ${confirmed} confirmed, ${unconfirmed} unconfirmed, ` +
    `${lost} lost, ${deleted} deleted, ${duplicates} duplicates, ${resent} re-sent, ${faults} strikes${recovery}, ` +
    `+${Math.round(figures.growthBytes / 1e6)} MB`
  );
}
