/** `millrace remove` */
import type { Command } from 'commander';
import { backendOf } from '../../common/backend-of.js';
import { checkRemovable, exchangeOption } from '../../common/definitions/exchange-spec.js';
import { count } from '../../common/reporting/count.js';
import { deadLetters } from '../../dead-letters/dead-letters.js';
import { addHelp, type Execute } from '../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import { nameValue } from '../option-values.js';
import type { Output } from '../output.js';
import {
  addDangerousOptions,
  addOperatorOptions,
  contentOf,
  type DangerousFlags,
  isAgreed,
  noSuchQueue,
  type Operation,
  withOperator,
} from './operator/operator-command.js';

const EXAMPLES = `
Examples:
  $ millrace remove old-orders             remove the queue with all it holds
  $ millrace remove orders ID              remove one message of it
  $ millrace remove -e shop                remove the exchange of a topic`;

const NOTES = `
The dead-letter queue of a queue stays: remove that, too, if you don't need it. Consumers of the queue end, unless they may declare it again.

An exchange is removed with all bindings to it; the queues and their messages stay. Then 'millrace topology apply' declares it with other properties, and binds the queues of its module again. Stop the programs with the old definition first: they declare it again when they need it.`;

interface RemoveFlags extends DangerousFlags {
  readonly exchange?: string;
}

export function addRemoveCommand(program: Command, execute: Execute): void {
  const command = program
    .command('remove')
    .description('Removes a queue, single messages of it, or an exchange, permanently; asks first.')
    .argument('[queue]', 'the name of the queue', nameValue)
    .argument('[id...]', 'ids of ready messages to remove instead of the queue')
    .option('-e, --exchange <name>', 'an exchange to remove instead of a queue', nameValue);
  addDangerousOptions(command, 'removed').action(
    (queue: string | undefined, ids: string[], flags: RemoveFlags) =>
      execute(flags, (output) => remove(queue, ids, flags, output)),
  );
  addHelp(command, EXAMPLES, NOTES);
  addOperatorOptions(command);
}

function remove(
  queue: string | undefined,
  ids: readonly string[],
  flags: RemoveFlags,
  output: Output,
): Promise<ExitCode> {
  const { exchange } = flags;
  if (exchange !== undefined && queue === undefined) {
    return withOperator('remove', flags, output, noSuchExchange(exchange), (operation) =>
      removeExchange(exchange, flags, output, operation),
    );
  }
  if (queue === undefined || exchange !== undefined)
    throw new CommandError(
      EXIT.usage,
      'remove takes the name of a queue, or --exchange with that of an exchange',
    );
  return withOperator('remove', flags, output, noSuchQueue(queue), (operation) =>
    ids.length === 0
      ? removeQueue(queue, flags, output, operation)
      : removeMessages(queue, ids, flags, output, operation),
  );
}

async function removeExchange(
  exchange: string,
  flags: DangerousFlags,
  output: Output,
  { broker, signal, wait }: Operation,
): Promise<ExitCode> {
  const backend = backendOf(broker);
  // Missing, or not to be removed: said before the question.
  checkRemovable(exchange);
  await backend.declareExchange(exchangeOption('exchange', exchange), wait);
  const what = `the exchange '${exchange}' and the bindings to it`;
  const isDry = flags.dryRun === true;
  if (!isDry) {
    const question = `Permanently remove ${what} at ${broker.url}?`;
    if (!(await isAgreed('remove', question, flags, output, signal))) return EXIT.failed;
    await backend.removeExchange(exchange, wait);
  }
  if (output.json) await output.record({ exchange, removed: !isDry });
  else output.note(` [*] ${isDry ? 'Would remove' : 'Removed'} ${what}; its queues stay`);
  return EXIT.ok;
}

function noSuchExchange(exchange: string): (where: string) => never {
  return (where) => {
    throw new CommandError(EXIT.empty, `there is no exchange '${exchange}': ${where} has no exchanges`);
  };
}

async function removeQueue(
  queue: string,
  flags: DangerousFlags,
  output: Output,
  { operator, broker, signal, wait }: Operation,
): Promise<ExitCode> {
  const info = await operator.queue(queue, wait);
  const what = `the queue '${queue}' with ${contentOf(info)} and ${count(info.consumers ?? 0, 'consumer')}`;
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
