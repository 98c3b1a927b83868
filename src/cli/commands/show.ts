/** `millrace show` */
import type { Command } from 'commander';
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

const EXAMPLES = `
Examples:
  $ millrace show orders                   what it is and what it holds
  $ millrace show orders --json | jq .ready`;

export function addShowCommand(program: Command, execute: Execute): void {
  const command = program
    .command('show')
    .description('Shows one queue: what it is and what it holds.')
    .argument('<queue>', 'the name of the queue', nameValue)
    .action((queue: string, flags: OperatorFlags) => execute(flags, (output) => show(queue, flags, output)));
  addHelp(command, EXAMPLES);
  addOperatorOptions(command);
}

function show(queue: string, flags: OperatorFlags, output: Output): Promise<ExitCode> {
  return withOperator('show', flags, output, noSuchQueue(queue), async ({ operator, wait }) => {
    const info = await operator.queue(queue, wait);
    if (output.json) await output.record(info);
    else
      for (const line of queueDetails(info))
        await output.data(line.replace('as managementUrl', 'as --management-url'));
    return EXIT.ok;
  });
}
