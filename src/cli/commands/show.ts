/** `millrace show` */
import type { Command } from 'commander';
import type { ConsumerList, Operator, WaitOptions } from '../../broker.js';
import { isQueueError } from '../../errors.js';
import { addHelp, type Execute } from '../common-options.js';
import { EXIT, type ExitCode } from '../exit-code.js';
import { nameValue } from '../option-values.js';
import type { Output } from '../output.js';
import {
  addOperatorOptions,
  noSuchQueue,
  type OperatorFlags,
  withOperator,
} from './operator/operator-command.js';
import { queueDetails } from './operator/queue-view.js';

/** More are counted, and not listed. */
const MAX_CONSUMERS = 100;

const EXAMPLES = `
Examples:
  $ millrace show orders                   what it is, holds, and who takes it
  $ millrace show orders --json | jq .ready`;

export function addShowCommand(program: Command, execute: Execute): void {
  const command = program
    .command('show')
    .description('Shows one queue: its properties, message counts and consumers.')
    .argument('<queue>', 'the name of the queue', nameValue)
    .action((queue: string, flags: OperatorFlags) => execute(flags, (output) => show(queue, flags, output)));
  addHelp(command, EXAMPLES);
  addOperatorOptions(command);
}

/** Undefined: the broker does not report it, which the figures of the queue say already. */
async function consumersOf(
  queue: string,
  operator: Operator,
  wait: WaitOptions,
): Promise<ConsumerList | undefined> {
  try {
    return await operator.consumers({ queue, limit: MAX_CONSUMERS, ...wait });
  } catch (error) {
    if (isQueueError(error, 'UNSUPPORTED', 'UNREACHABLE', 'ACCESS_REFUSED')) return undefined;
    throw error;
  }
}

function show(queue: string, flags: OperatorFlags, output: Output): Promise<ExitCode> {
  return withOperator('show', flags, output, noSuchQueue(queue), async ({ operator, wait }) => {
    const info = await operator.queue(queue, wait);
    const list = await consumersOf(queue, operator, wait);
    if (output.json) await output.record({ ...info, consumerList: list?.consumers });
    else
      for (const line of queueDetails(info, list))
        await output.data(line.replace('as managementUrl', 'as --management-url'));
    return EXIT.ok;
  });
}
