/** `millrace schedule forget` */
import type { Command } from 'commander';
import { forgetSchedule } from '../../../schedules/scheduler.js';
import { ADDRESS_HELP, addHelp, type CommonFlags, type Execute } from '../../common-options.js';
import { EXIT, type ExitCode } from '../../exit-code.js';
import { withBroker } from '../../open-broker.js';
import type { Output } from '../../output.js';

const NOTES = `
For a schedule that was removed from the code, or whose missed ticks should not be caught up. Stop its schedulers first.

Exit codes: 0 it was forgotten; 4 nothing was stored for it.`;

export function addForgetCommand(schedule: Command, execute: Execute): void {
  const command = schedule
    .command('forget')
    .description('Forgets the progress of a schedule, so that it starts anew.')
    .argument('<name>', 'the name of the schedule')
    .action((name: string, flags: CommonFlags) => execute(flags, (output) => forget(name, flags, output)));
  addHelp(command, NOTES, ADDRESS_HELP);
}

function forget(name: string, flags: CommonFlags, output: Output): Promise<ExitCode> {
  return withBroker('schedule forget', flags, output, async (broker, signal) => {
    const isForgotten = await forgetSchedule(broker, name, { signal });
    if (output.json) await output.record({ schedule: name, forgotten: isForgotten });
    else
      output.note(isForgotten ? ` [*] Forgot '${name}'` : ` [*] Nothing is stored for a schedule '${name}'`);
    return isForgotten ? EXIT.ok : EXIT.empty;
  });
}
