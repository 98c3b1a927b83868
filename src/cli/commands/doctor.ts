import type { Command } from 'commander';
import { type DoctorFlags, doctor } from '../doctor/doctor.js';
import type { ExitCode } from '../exit-code.js';
import type { Output, OutputFlags } from '../output.js';

/** Adds `millrace doctor`. */
export function addDoctorCommand(
  program: Command,
  carryOut: (flags: OutputFlags, command: (output: Output) => Promise<ExitCode>) => Promise<void>,
  addressHelp: string,
): void {
  program
    .command('doctor')
    .description(
      'Looks whether the broker can be used and what to mind about it; and whether a queue is as it is defined.',
    )
    .argument(
      '[queue]',
      "a queue's name, or a module (./queues.js) whose exports are queues made by defineQueue",
    )
    .addHelpText('after', addressHelp)
    .addHelpText(
      'after',
      `
Writes one line a check: ok, warn or fail, and what to do. Makes no queue but one of its own, which is gone afterwards.
Exit codes: 0 all is well, or warnings alone; 1 a queue differs from its definition; 4 it is not there, and should be;
69 broker unreachable; 75 no answer in time; 77 access refused; 78 wrong configuration, or a folder that can't be used.`,
    )
    .action((queue: string | undefined, flags: DoctorFlags) =>
      carryOut(flags, (output) => doctor(queue, flags, output)),
    );
}
