/** `millrace queues` */
import { type Command, Option } from 'commander';
import type { QueueInfo } from '../../broker.js';
import { count } from '../../common/reporting/count.js';
import { addHelp, addWideOption, type Execute } from '../common-options.js';
import { EXIT, type ExitCode } from '../exit-code.js';
import { oneOrMore } from '../option-values.js';
import type { Output } from '../output.js';
import { addOperatorOptions, type OperatorFlags, withOperator } from './operator/operator-command.js';
import { queueTable } from './operator/queue-view.js';

/** All that the broker lists: the order of the command is not that of the names. */
export const MAX_QUEUES = 100_000;

const ORDERS = ['name', 'ready', 'dead', 'oldest'] as const;

type Order = (typeof ORDERS)[number];

export interface ListFlags extends OperatorFlags {
  readonly all?: boolean;
  readonly sort: Order;
  readonly limit?: number;
}

const EXAMPLES = `
Examples:
  $ millrace queues                        list the queues and what they hold
  $ millrace queues orders --sort dead     those with 'orders' in their name
  $ millrace queues --json | jq -r 'select(.dead > 0) | .name'`;

const NOTES = `
ready: can be delivered; unsettled: delivered and not settled; delayed: waits for a retry or its due time; dead: in its dead-letter queue; oldest: the age of the oldest ready message; ?: the broker does not report it.`;

export function addQueuesCommand(program: Command, execute: Execute): void {
  const command = program
    .command('queues')
    .description('Lists the queues of the broker and their message counts.')
    .argument('[text]', 'only queues with this text in their name');
  addWideOption(addListOptions(command)).action((text: string | undefined, flags: ListFlags) =>
    execute(flags, (output) => queues(text, flags, output)),
  );
  addHelp(command, EXAMPLES, NOTES);
  addOperatorOptions(command);
}

export function addListOptions(command: Command): Command {
  return command
    .option('-a, --all', 'include the queues that millrace creates for retries and delays on RabbitMQ')
    .addOption(new Option('--sort <order>', 'the order of the queues').choices(ORDERS).default('name'))
    .option('--limit <n>', 'the maximum number of queues', oneOrMore);
}

async function queues(text: string | undefined, flags: ListFlags, output: Output): Promise<ExitCode> {
  const whenEmpty = (where: string) => {
    output.note(` [*] ${where} has no queues`);
    return EXIT.empty;
  };
  return withOperator('queues', flags, output, whenEmpty, async ({ operator, broker, wait }) => {
    const list = await operator.queues({ ...wait, match: text, internal: flags.all, limit: MAX_QUEUES });
    const shown = inOrder(list.queues, flags.sort).slice(0, flags.limit);
    if (output.json) for (const queue of shown) await output.record(queue);
    else if (shown.length > 0) for (const line of queueTable(shown, output.columns)) await output.data(line);
    if (list.parked > 0 && !output.json) {
      output.note(` [*] Not counted above: ${count(list.parked, 'delayed message')} of all queues together`);
    }
    if (shown.length < list.total) output.note(` [*] ${shown.length} of ${count(list.total, 'queue')}`);
    if (shown.length > 0) return EXIT.ok;
    const which = text === undefined ? 'no queues' : `no queue with '${text}' in its name`;
    output.note(` [*] ${broker.url} has ${which}`);
    return EXIT.empty;
  });
}

/** The greatest number first. */
export function inOrder(queues: readonly QueueInfo[], order: Order): readonly QueueInfo[] {
  const key = (queue: QueueInfo): number => {
    if (order === 'ready') return queue.ready;
    return (order === 'dead' ? queue.dead : queue.oldestAgeMs) ?? 0;
  };
  return order === 'name' ? queues : queues.toSorted((one, other) => key(other) - key(one));
}
