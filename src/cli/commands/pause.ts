/** `millrace pause` and `millrace resume` */
import type { Command } from 'commander';
import { count } from '../../common/reporting/count.js';
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

const NOTES = `
All consumers of the queue, in every process, get no further messages; those already delivered are handled. The queue stays paused until 'millrace resume', even after all processes have exited. Messages may still be sent. RabbitMQ can't do this: there, pause each consumer individually.`;

export function addPauseCommands(program: Command, execute: Execute): void {
  for (const verb of ['pause', 'resume'] as const) {
    const command = program
      .command(verb)
      .description(
        verb === 'pause'
          ? 'Stops the delivery of a queue to all of its consumers.'
          : 'Resumes the delivery of a paused queue to its consumers.',
      )
      .argument('<queue>', 'the name of the queue', nameValue)
      .action((queue: string, flags: OperatorFlags) =>
        execute(flags, (output) => set(verb, queue, flags, output)),
      );
    if (verb === 'pause') addHelp(command, NOTES);
    addOperatorOptions(command);
  }
}

function set(
  verb: 'pause' | 'resume',
  queue: string,
  flags: OperatorFlags,
  output: Output,
): Promise<ExitCode> {
  return withOperator(verb, flags, output, noSuchQueue(queue), async ({ operator, wait }) => {
    await operator[verb](queue, wait);
    const { ready, unsettled = 0, consumers = 0 } = await operator.queue(queue, wait);
    const isPaused = verb === 'pause';
    if (output.json) await output.record({ queue, paused: isPaused });
    else if (!isPaused)
      output.note(` [*] '${queue}' is delivered again: ${ready} ready, ${count(consumers, 'consumer')}`);
    else output.note(` [*] '${queue}' is paused: ${ready} ready, ${unsettled} still being handled`);
    return EXIT.ok;
  });
}
