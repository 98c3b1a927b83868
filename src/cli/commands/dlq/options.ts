import { type Command, Option } from 'commander';
import type { ExitCode } from '../../exit-code.js';
import { dateValue, integerValue, oneOrMore, positiveDurationValue } from '../../option-values.js';
import type { Output, OutputFlags } from '../../output.js';
import type { DlqFlags } from '../dlq.js';
import { type DropFlags, dropDeadLetters } from './drop.js';
import { listDeadLetters } from './list.js';
import { type ReplayFlags, replayDeadLetters } from './replay.js';
import { showDeadLetters } from './show.js';

const EXAMPLES = `
Examples:
  $ millrace dlq list -q orders                              what died, when and why
  $ millrace dlq show -q orders ID                           one of them with its body
  $ millrace dlq replay -q orders --reason failed --rate 20  back to the queue, 20 a second
  $ millrace dlq drop -q orders --before 2026-01-31 --force  away for good`;

type Act<Flags> = (ids: readonly string[], flags: Flags, output: Output) => Promise<ExitCode>;

/** Adds `millrace dlq` with its commands. */
export function addDlqCommand(
  program: Command,
  carryOut: (flags: OutputFlags, command: (output: Output) => Promise<ExitCode>) => Promise<void>,
  addressHelp: string,
): void {
  const dlq = program
    .command('dlq')
    .description('Looks at dead letters, sends them back to their queues or drops them.')
    .addHelpText('after', EXAMPLES);

  const add = <Flags extends DlqFlags>(name: string, description: string, act: Act<Flags>): Command => {
    const command = dlq
      .command(name)
      .description(description)
      .argument('[id...]', 'the ids of letters; without any, all that the options choose')
      .option('-q, --queue <name>', 'the queue that they were messages of', 'hello')
      .option('--dead-letter-queue <name>', 'where they lie (default: the name of the queue and .dead)')
      .option('--reason <reason>', 'only those of this reason: failed, rejected, invalid, expired, …')
      .option('--since <time>', 'only those dead since then: 2h (ago) or 2026-01-31T12:00Z', dateValue)
      .option('--before <time>', 'only those dead before then', dateValue)
      .option('--match <text>', 'only those with this text in the body or in an error')
      .addHelpText('after', addressHelp);
    return command.action((ids: string[], flags: Flags) =>
      carryOut(flags, (output) => act(ids, flags, output)),
    );
  };
  const limit = (preset?: number) =>
    new Option('--limit <n>', 'how many letters at most').argParser(oneOrMore).default(preset);

  add('list', 'Lists dead letters: when and why they died, and of which queue.', listDeadLetters).addOption(
    limit(100),
  );
  add(
    'show',
    'Shows dead letters with all that they hold, the first one unless told otherwise.',
    showDeadLetters,
  ).addOption(limit());
  add<ReplayFlags>(
    'replay',
    'Sends dead letters back to the queues that they were messages of, for a new first attempt.',
    replayDeadLetters,
  )
    .addOption(limit())
    .option('--rate <n>', 'how many a second at most', integerValue(1))
    .option('--to <queue>', 'send them all to this queue')
    .option(
      '--schema <module>',
      'check them first: its default export is a schema, or a queue of defineQueue',
    )
    .option('--dry-run', 'send none, only check and say which')
    .addOption(
      new Option('--timeout <duration>', 'how long a letter may wait to be stored')
        .argParser(positiveDurationValue)
        .default(30_000, '30s'),
    );
  add<DropFlags>('drop', 'Removes dead letters for good; asks first.', dropDeadLetters)
    .addOption(limit())
    .option('--dry-run', 'drop none, only say which')
    .option('--force', 'do not ask');
}
