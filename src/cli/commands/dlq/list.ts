/** `millrace dlq list` */
import type { Command } from 'commander';
import type { DeadLetter } from '../../../dead-letters/dead-letter.js';
import { addressFlags, addWideOption, type Execute, shellQuoted } from '../../common-options.js';
import { EXIT, type ExitCode } from '../../exit-code.js';
import type { Output } from '../../output.js';
import {
  addSelectionOptions,
  conclude,
  type DlqFlags,
  selectionOf,
  withDeadLetters,
} from './dead-letter-command.js';
import { countOf, deadLetterFacts, deadLetterTable } from './dead-letter-view.js';

export function addListCommand(dlq: Command, execute: Execute): void {
  const command = dlq
    .command('list')
    .description('Lists dead letters: when and why they failed, and in which queue.');
  addWideOption(addSelectionOptions(command, 100)).action((ids: string[], flags: DlqFlags) =>
    execute(flags, (output) => list(ids, flags, output)),
  );
}

function list(ids: readonly string[], flags: DlqFlags, output: Output): Promise<ExitCode> {
  return withDeadLetters(flags.queue, flags, output, async (dead, signal) => {
    const { deadLetters, ...scan } = await output.during(
      () => `Reading the dead letters of '${flags.queue}'`,
      () => dead.list(selectionOf(ids, flags, signal)),
    );
    if (output.json) {
      for (const deadLetter of deadLetters) await output.record(deadLetterFacts(deadLetter));
    } else if (deadLetters.length > 0) {
      for (const line of deadLetterTable(deadLetters, output.columns)) await output.data(line);
    }
    const shown =
      deadLetters.length === scan.total
        ? countOf(scan.total)
        : `${deadLetters.length} of ${countOf(scan.total)}`;
    conclude(output, `${shown} of '${flags.queue}' in '${dead.queue}'`, {
      ...scan,
      shown: deadLetters.length,
    });
    if (deadLetters.length === 0) return EXIT.empty;
    if (!output.json) {
      const { id } = deadLetters[0] as DeadLetter;
      output.note(` [*] To show one: millrace dlq show ${shellQuoted(id)}${hintFlags(flags)}`);
      output.note(` [*] To send them back: millrace dlq replay${hintFlags(flags)}`);
    }
    return EXIT.ok;
  });
}

/** The flags that select the same dead letters, for the next command. */
function hintFlags(flags: DlqFlags): string {
  const { queue, deadLetterQueue } = flags;
  const where = deadLetterQueue === undefined ? '' : ` --dead-letter-queue ${shellQuoted(deadLetterQueue)}`;
  return ` -q ${shellQuoted(queue)}${where}${addressFlags(flags)}`;
}
