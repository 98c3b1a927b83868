/** `millrace remove` */
import type { Command } from 'commander';
import { deadLetters } from '../../dead-letters/dead-letters.js';
import { addHelp, type Execute } from '../common-options.js';
import { EXIT, type ExitCode } from '../exit-code.js';
import { nameValue } from '../option-values.js';
import type { Output } from '../output.js';
import {
  addDangerousOptions,
  addOperatorOptions,
  contentOf,
  count,
  type DangerousFlags,
  isAgreed,
  noSuchQueue,
  type Operation,
  withOperator,
} from './operator/operator-command.js';

const EXAMPLES = `
Examples:
  $ millrace remove old-orders             remove the queue with all it holds
  $ millrace remove orders ID              remove one message of it`;

const NOTES = `
Its dead-letter queue stays: remove that, too, if you don't need it. Consumers of the queue end, unless they may declare it again.`;

export function addRemoveCommand(program: Command, execute: Execute): void {
  const command = program
    .command('remove')
    .description('Removes a queue, or single messages of it, permanently; asks first.')
    .argument('<queue>', 'the name of the queue', nameValue)
    .argument('[id...]', 'ids of ready messages to remove instead of the queue');
  addDangerousOptions(command, 'removed').action((queue: string, ids: string[], flags: DangerousFlags) =>
    execute(flags, (output) =>
      withOperator('remove', flags, output, noSuchQueue(queue), (operation) =>
        ids.length === 0
          ? removeQueue(queue, flags, output, operation)
          : removeMessages(queue, ids, flags, output, operation),
      ),
    ),
  );
  addHelp(command, EXAMPLES, NOTES);
  addOperatorOptions(command);
}

async function removeQueue(
  queue: string,
  flags: DangerousFlags,
  output: Output,
  { operator, broker, signal, wait }: Operation,
): Promise<ExitCode> {
  const info = await operator.queue(queue, wait);
  const what = `the queue '${queue}' with ${contentOf(info)} and ${count(info.consumers, 'consumer')}`;
  const isDry = flags.dryRun === true;
  if (!isDry) {
    const question = `Permanently remove ${what} at ${broker.url}?`;
    if (!(await isAgreed('remove', question, flags, output, signal))) return EXIT.failed;
    await broker.remove(queue, wait);
  }
  if (output.json) await output.record({ queue, removed: !isDry });
  else output.note(` [*] ${isDry ? 'Would remove' : 'Removed'} ${what}`);
  return EXIT.ok;
}

async function removeMessages(
  queue: string,
  ids: readonly string[],
  flags: DangerousFlags,
  output: Output,
  { broker, signal }: Operation,
): Promise<ExitCode> {
  const messages = deadLetters(broker, queue, { queue });
  const selection = { ids, signal };
  const { dropped: found } = await messages.drop({ ...selection, dryRun: true });
  const which = `${count(found, 'message')} of '${queue}'`;
  let removed = 0;
  if (found > 0 && flags.dryRun !== true) {
    const question = `Permanently remove ${which} at ${broker.url}?`;
    if (!(await isAgreed('remove', question, flags, output, signal))) return EXIT.failed;
    removed = (await messages.drop(selection)).dropped;
  }
  const text =
    found === 0
      ? `no ready message of '${queue}' has such an id`
      : flags.dryRun === true
        ? `Would remove ${which}`
        : `Removed ${count(removed, 'message')} of '${queue}'`;
  if (output.json) await output.record({ queue, removed });
  else output.note(` [*] ${text}`);
  if (found === 0) return EXIT.empty;
  return found < new Set(ids).size ? EXIT.partial : EXIT.ok;
}
