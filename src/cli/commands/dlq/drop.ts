/** `millrace dlq drop` */
import type { Command } from 'commander';
import type { DeadLetters } from '../../../dead-letters/dead-letters.js';
import type { SelectionOptions } from '../../../dead-letters/selection.js';
import type { Execute } from '../../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../../exit-code.js';
import type { Output } from '../../output.js';
import {
  addSelectionOptions,
  conclude,
  type DlqFlags,
  selectionOf,
  withDeadLetters,
} from './dead-letter-command.js';
import { countOf } from './dead-letter-view.js';

interface DropFlags extends DlqFlags {
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

export function addDropCommand(dlq: Command, execute: Execute): void {
  const command = dlq.command('drop').description('Deletes dead letters permanently; asks first.');
  addSelectionOptions(command)
    .option('--dry-run', 'only print what would be dropped')
    .option('--force', 'do not ask')
    .action((ids: string[], flags: DropFlags) => execute(flags, (output) => drop(ids, flags, output)));
}

function drop(ids: readonly string[], flags: DropFlags, output: Output): Promise<ExitCode> {
  const { force = false, dryRun = false } = flags;
  const asks = !force && !dryRun;
  if (asks && !(process.stdin.isTTY === true && process.stderr.isTTY === true)) {
    throw new CommandError(
      EXIT.usage,
      'dlq drop deletes dead letters permanently, and without a terminal it cannot ask: add --force, or --dry-run to see which ones',
    );
  }
  return withDeadLetters(flags.queue, flags, output, async (dead, signal) => {
    let selection = selectionOf(ids, flags, signal);
    if (asks) {
      const agreed = await ask(dead, selection, flags.queue, output, signal);
      if (signal.aborted) throw signal.reason;
      if (agreed === undefined) return EXIT.failed;
      // No more than the user agreed to.
      selection = { ...selection, limit: Math.max(1, agreed) };
    }
    const verb = dryRun ? 'Would drop' : 'Dropped';
    const result = await dead.drop({
      ...selection,
      dryRun,
      observe: ({ id }) => {
        if (output.json) void output.record({ outcome: 'dropped', id });
        else if (!output.quiet) void output.data(` [x] ${verb} ${id}`);
      },
    });
    const text = `${verb} ${result.dropped} of ${countOf(result.total)} of '${flags.queue}'`;
    conclude(output, text, { ...result });
    return result.dropped === 0 ? EXIT.empty : EXIT.ok;
  });
}

/** How many dead letters the user agrees to drop; undefined if the answer is no. */
async function ask(
  dead: DeadLetters,
  selection: SelectionOptions,
  queue: string,
  output: Output,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { dropped, total } = await output.during(
    () => `Counting the dead letters of '${queue}'`,
    () => dead.drop({ ...selection, dryRun: true }),
  );
  if (dropped === 0) return 0;
  const question = `Permanently drop ${dropped} of ${countOf(total)} of '${queue}'?`;
  return (await output.confirm(question, signal)) ? dropped : undefined;
}
