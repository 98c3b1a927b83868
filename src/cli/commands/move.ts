/** `millrace move` */

import { type Command, Option } from 'commander';
import { errorText, quote } from '../../common/options.js';
import { count } from '../../common/reporting/count.js';
import { moveMessages } from '../../operations/move.js';
import { addHelp, type Execute } from '../common-options.js';
import { EXIT, type ExitCode, exitCodeOf } from '../exit-code.js';
import { nameValue, oneOrMore } from '../option-values.js';
import type { Output } from '../output.js';
import {
  addOperatorOptions,
  noSuchQueue,
  type OperatorFlags,
  withOperator,
} from './operator/operator-command.js';

interface MoveFlags extends OperatorFlags {
  readonly limit?: number;
  readonly dryRun?: boolean;
}

const EXAMPLES = `
Examples:
  $ millrace move orders orders-v2         all that are ready, in their order
  $ millrace move orders parked --limit 1  the first one`;

const NOTES = `
The other queue must exist; 'millrace topology apply' declares queues. Each message is stored there before it is removed from this queue. Dead letters keep their history: to have them handled again, use 'millrace dlq replay'. --timeout is for each message: it waits while the other queue is full.`;

export function addMoveCommand(program: Command, execute: Execute): void {
  const command = program
    .command('move')
    .description('Moves the ready messages of a queue to another queue.')
    .argument('<from>', 'the queue to move them from', nameValue)
    .argument('<to>', 'the queue to move them to', nameValue)
    .addOption(new Option('-n, --limit <n>', 'the maximum number of messages').argParser(oneOrMore))
    .option('--dry-run', 'only print how many would be moved')
    .action((from: string, to: string, flags: MoveFlags) =>
      execute(flags, (output) => move(from, to, flags, output)),
    );
  addHelp(command, EXAMPLES, NOTES);
  addOperatorOptions(command);
}

function move(from: string, to: string, flags: MoveFlags, output: Output): Promise<ExitCode> {
  const { limit = Number.POSITIVE_INFINITY } = flags;
  return withOperator('move', flags, output, noSuchQueue(from), async ({ broker, operator, wait }) => {
    let moved = 0;
    let left = 0;
    const say = (verb: string, total: number) => {
      if (output.json) void output.record({ from, to, moved: verb === 'Moved' ? moved : 0, left, total });
      else output.note(` [*] ${verb} ${moved} of ${count(total, 'message')} of '${from}' to '${to}'`);
    };
    if (flags.dryRun === true) {
      const { ready } = await operator.queue(from, wait);
      await operator.queue(to, wait);
      moved = Math.min(ready, limit);
      say('Would move', ready);
      return ready === 0 ? EXIT.empty : EXIT.ok;
    }
    // Awaited: a reader that is slower than the broker must not fill the memory.
    const onMoved = async (id: string) => {
      moved++;
      if (output.json) await output.record({ outcome: 'moved', id, to });
    };
    const onLeft = (id: string, error: Error) => {
      left++;
      output.error(`message ${quote(id)} stays: ${error.message}`);
    };
    try {
      const { total } = await output.during(
        () => `Moving messages of '${from}' to '${to}': ${moved}`,
        () => moveMessages(broker, from, to, { ...wait, limit, onMoved, onLeft }),
      );
      say('Moved', total);
    } catch (error) {
      if (moved === 0) throw error;
      const { aborted, reason } = wait.signal;
      output.error(`moved ${count(moved, 'message')}, then: ${errorText(aborted ? reason : error)}`);
      return aborted ? exitCodeOf(reason) : EXIT.partial;
    }
    if (left > 0) return EXIT.partial;
    return moved === 0 ? EXIT.empty : EXIT.ok;
  });
}
