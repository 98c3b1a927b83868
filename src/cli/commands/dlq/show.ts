/** `millrace dlq show` */
import type { Command } from 'commander';
import type { Execute } from '../../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../../exit-code.js';
import type { Output } from '../../output.js';
import { addSelectionOptions, type DlqFlags, selectionOf, withDeadLetters } from './dead-letter-command.js';
import { countOf, deadLetterDetails, wholeDeadLetter } from './dead-letter-view.js';

export function addShowCommand(dlq: Command, execute: Execute): void {
  const command = dlq
    .command('show')
    .description('Shows dead letters with their errors, headers and bodies; the first one by default.');
  addSelectionOptions(command).action((ids: string[], flags: DlqFlags) =>
    execute(flags, (output) => show(ids, flags, output)),
  );
}

function show(ids: readonly string[], flags: DlqFlags, output: Output): Promise<ExitCode> {
  return withDeadLetters(flags.queue, flags, output, async (dead, signal) => {
    const limit = flags.limit ?? (ids.length === 0 ? 1 : Number.POSITIVE_INFINITY);
    const { deadLetters, total, scanned } = await output.during(
      () => `Reading the dead letters of '${flags.queue}'`,
      () => dead.list({ ...selectionOf(ids, flags, signal), limit }),
    );
    if (deadLetters.length === 0) {
      const read = scanned < total ? `, of which the first ${scanned} were read` : '';
      throw new CommandError(EXIT.empty, `no match among the ${countOf(total)} in '${dead.queue}'${read}`);
    }
    for (const [position, deadLetter] of deadLetters.entries()) {
      if (output.json) await output.record(wholeDeadLetter(deadLetter));
      else await output.block(`${position === 0 ? '' : '\n'}${deadLetterDetails(deadLetter)}`);
    }
    const found = new Set(deadLetters.map(({ id }) => id));
    const missing = ids.filter((id) => !found.has(id));
    if (missing.length === 0) return EXIT.ok;
    output.error(`not found among the dead letters in '${dead.queue}': ${missing.join(', ')}`);
    return EXIT.partial;
  });
}
