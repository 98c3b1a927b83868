/** `millrace purge` */
import type { Command } from 'commander';
import { count } from '../../common/reporting/count.js';
import { addHelp, type Execute } from '../common-options.js';
import { EXIT, type ExitCode } from '../exit-code.js';
import { nameValue } from '../option-values.js';
import type { Output } from '../output.js';
import {
  addDangerousOptions,
  addOperatorOptions,
  type DangerousFlags,
  isAgreed,
  noSuchQueue,
  withOperator,
} from './operator/operator-command.js';

const NOTES = `
Removes ready messages only: those being handled or waiting for a retry stay, and so do dead letters.`;

export function addPurgeCommand(program: Command, execute: Execute): void {
  const command = program
    .command('purge')
    .description('Removes the ready messages of a queue permanently; asks first.')
    .argument('<queue>', 'the name of the queue', nameValue);
  addDangerousOptions(command, 'removed').action((queue: string, flags: DangerousFlags) =>
    execute(flags, (output) => purge(queue, flags, output)),
  );
  addHelp(command, NOTES);
  addOperatorOptions(command);
}

function purge(queue: string, flags: DangerousFlags, output: Output): Promise<ExitCode> {
  return withOperator(
    'purge',
    flags,
    output,
    noSuchQueue(queue),
    async ({ operator, broker, signal, wait }) => {
      const { ready } = await operator.queue(queue, wait);
      const what = (number: number) => `${count(number, 'ready message')} of '${queue}'`;
      if (ready === 0 || flags.dryRun === true) {
        conclude(
          output,
          ready === 0 ? `'${queue}' has no ready messages` : `Would remove ${what(ready)}`,
          queue,
          0,
        );
        return ready === 0 ? EXIT.empty : EXIT.ok;
      }
      const question = `Permanently remove ${what(ready)} at ${broker.url}?`;
      if (!(await isAgreed('purge', question, flags, output, signal))) return EXIT.failed;
      const purged = await broker.purge(queue, { signal });
      conclude(output, `Removed ${what(purged)}`, queue, purged);
      return purged === 0 ? EXIT.empty : EXIT.ok;
    },
  );
}

function conclude(output: Output, text: string, queue: string, removed: number): void {
  if (output.json) void output.record({ queue, removed });
  else output.note(` [*] ${text}`);
}
