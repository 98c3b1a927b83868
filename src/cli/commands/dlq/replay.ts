/** `millrace dlq replay` */

import type { Command } from 'commander';
import { errorText } from '../../../common/options.js';
import type { DeadLetters } from '../../../dead-letters/dead-letters.js';
import type { ReplayEvent } from '../../../dead-letters/replay.js';
import type { QueueError } from '../../../errors.js';
import type { Execute } from '../../common-options.js';
import { CommandError, EXIT, type ExitCode, exitCodeOf } from '../../exit-code.js';
import { importQueue } from '../../import-module.js';
import { durationOption, oneOrMore, positiveDurationValue } from '../../option-values.js';
import type { Output } from '../../output.js';
import {
  addSelectionOptions,
  conclude,
  type DlqFlags,
  selectionOf,
  withDeadLetters,
} from './dead-letter-command.js';
import { countOf } from './dead-letter-view.js';

interface ReplayFlags extends DlqFlags {
  readonly to?: string;
  readonly rate?: number;
  readonly dryRun?: boolean;
  readonly schema?: string;
  readonly timeout: number;
}

export function addReplayCommand(dlq: Command, execute: Execute): void {
  const command = dlq
    .command('replay')
    .description('Sends dead letters back to their queue, to be handled again from the first attempt.');
  addSelectionOptions(command)
    .option('--rate <n>', 'the maximum number per second', oneOrMore)
    .option('--to <queue>', 'send them all to this queue')
    .option(
      '--schema <module>',
      'check them first; the default export is a schema or a queue made by defineQueue',
    )
    .option('--dry-run', 'only check, and print what would be sent')
    .addOption(
      durationOption(
        '--timeout <duration>',
        'how long a message may wait to be stored',
        '30s',
        positiveDurationValue,
      ),
    )
    .action((ids: string[], flags: ReplayFlags) =>
      execute(flags, async (output) => {
        const queue = flags.schema === undefined ? flags.queue : await importQueue(flags.schema, flags.queue);
        return withDeadLetters(queue, flags, output, (dead, signal) =>
          replay(dead, ids, flags, output, signal),
        );
      }),
    );
}

async function replay(
  dead: DeadLetters,
  ids: readonly string[],
  flags: ReplayFlags,
  output: Output,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { to, rate, dryRun = false, timeout } = flags;
  if (to === dead.queue) {
    throw new CommandError(EXIT.usage, `--to: '${to}' is the dead-letter queue itself; name another queue`);
  }
  const verb = dryRun ? 'Would replay' : 'Replayed';
  let replayed = 0;
  let firstError: QueueError | undefined;
  const observe = (event: ReplayEvent) => {
    if (event.type === 'replayed') replayed++;
    else firstError ??= event.error;
    report(event, verb, output);
  };
  const conditions = { to, rate, dryRun, timeoutMs: timeout, observe };
  try {
    const result = await dead.replay({ ...selectionOf(ids, flags, signal), ...conditions });
    const { invalid, failed } = result;
    const rest = [
      ...(invalid > 0 ? [`${invalid} ${invalid === 1 ? 'does' : 'do'} not fit the schema`] : []),
      ...(failed > 0 ? [`${failed} can't be stored`] : []),
    ];
    const staying = invalid + failed === 1 ? 'stays' : 'stay';
    const stay = rest.length === 0 ? '' : `; ${rest.join(' and ')}, and ${staying} in '${dead.queue}'`;
    conclude(output, `${verb} ${replayed} of ${countOf(result.total)} of '${flags.queue}'${stay}`, {
      ...result,
    });
  } catch (error) {
    if (signal.aborted || replayed === 0) throw error;
    const reason = errorText(error);
    output.error(`${verb.toLowerCase()} ${countOf(replayed)}, then: ${reason}`);
    return EXIT.partial;
  }
  if (firstError === undefined) return replayed === 0 ? EXIT.empty : EXIT.ok;
  return replayed === 0 ? exitCodeOf(firstError) : EXIT.partial;
}

function report(event: ReplayEvent, verb: string, output: Output): void {
  const { type, to, deadLetter } = event;
  if (type === 'replayed') {
    if (output.json) void output.record({ outcome: type, id: deadLetter.id, to });
    else if (!output.quiet) void output.data(` [x] ${verb} ${deadLetter.id} to '${to}'`);
    return;
  }
  const error = event.error.message;
  if (output.json) void output.record({ outcome: type, id: deadLetter.id, to, error });
  else output.error(error);
}
