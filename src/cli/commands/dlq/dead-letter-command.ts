/** Shared parts of the commands of `millrace dlq`: options, connection and summary. */
import { type Command, Option } from 'commander';
import { type DeadLetters, deadLetters } from '../../../dead-letters/dead-letters.js';
import type { ScanResult, SelectionOptions } from '../../../dead-letters/selection.js';
import { isQueueError, QueueError } from '../../../errors.js';
import { ADDRESS_HELP, addHelp, type CommonFlags } from '../../common-options.js';
import { CommandError, type ExitCode } from '../../exit-code.js';
import { withBroker } from '../../open-broker.js';
import { dateValue, oneOrMore } from '../../option-values.js';
import type { Output } from '../../output.js';
import { countOf } from './dead-letter-view.js';

/** As in RabbitMQ's tutorials. */
const DEFAULT_QUEUE = 'hello';

export interface DlqFlags extends CommonFlags {
  readonly queue: string;
  readonly deadLetterQueue?: string;
  readonly reason?: string;
  readonly since?: Date;
  readonly before?: Date;
  readonly match?: string;
  readonly limit?: number;
}

/** Adds the options that select dead letters. `limit`: the default of --limit. */
export function addSelectionOptions(command: Command, limit?: number): Command {
  command
    .argument('[id...]', 'ids of dead letters (default: all that the options select)')
    .option('-q, --queue <name>', 'the queue whose dead letters they are', DEFAULT_QUEUE)
    .option(
      '--dead-letter-queue <name>',
      'the queue that holds them (default: the name of the queue with the suffix .dead)',
    )
    .option('--reason <reason>', 'only those with this reason: failed, rejected, invalid, expired, …')
    .option('--since <time>', 'only those that failed since then: 2h (ago) or 2026-01-31T12:00Z', dateValue)
    .option('--before <time>', 'only those that failed before then', dateValue)
    .option('--match <text>', 'only those with this text in the body or in an error')
    .addOption(
      new Option('--limit <n>', 'the maximum number of dead letters').argParser(oneOrMore).default(limit),
    );
  addHelp(command, ADDRESS_HELP);
  return command;
}

/** Runs `job` on the dead letters of `queue`. A signal ends it early, and is the error unless there is another one. */
export function withDeadLetters(
  queue: Parameters<typeof deadLetters>[1],
  flags: DlqFlags,
  output: Output,
  job: (dead: DeadLetters, signal: AbortSignal) => Promise<ExitCode>,
): Promise<ExitCode> {
  const options = flags.deadLetterQueue === undefined ? {} : { queue: flags.deadLetterQueue };
  return withBroker(
    'dlq',
    flags,
    output,
    async (broker, signal) => {
      try {
        return await job(deadLetters(broker, queue, options), signal);
      } catch (error) {
        // Other commands take the name of a queue where these take ids.
        if (!isQueueError(error, 'QUEUE_MISSING') || flags.queue !== DEFAULT_QUEUE) throw error;
        throw new QueueError(error.code, `${error.message}. Name the queue with --queue`, { cause: error });
      }
    },
    (error, { exitCode, message }) =>
      isQueueError(error, 'ABORTED')
        ? new CommandError(exitCode, `${message}; the remaining dead letters stay`, { cause: error })
        : error,
  );
}

/** The dead letters that the command line selects. */
export function selectionOf(ids: readonly string[], flags: DlqFlags, signal: AbortSignal): SelectionOptions {
  const { reason, since, before, match, limit } = flags;
  return { ids: ids.length === 0 ? undefined : ids, reason, since, before, match, limit, signal };
}

/** Prints the summary: a sentence, or figures with --json. */
export function conclude(
  output: Output,
  text: string,
  figures: ScanResult & Readonly<Record<string, unknown>>,
): void {
  const { total, scanned } = figures;
  if (output.json) {
    output.event({ event: 'summary', level: 'info', text, fields: figures });
    return;
  }
  output.note(` [*] ${text}`);
  if (scanned < total) {
    const unread = total - scanned;
    output.note(` [*] ${unread} of ${countOf(total)} ${unread === 1 ? 'was' : 'were'} not read`);
  }
}
