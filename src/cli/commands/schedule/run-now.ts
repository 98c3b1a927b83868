/** `millrace schedule run-now` */
import type { Command } from 'commander';
import { createScheduler } from '../../../schedules/scheduler.js';
import { ADDRESS_HELP, addHelp, type CommonFlags, type Execute } from '../../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../../exit-code.js';
import { importSchedules } from '../../import-module.js';
import { withBroker } from '../../open-broker.js';
import type { Output } from '../../output.js';

const NOTES = `
The message has its own id and no tick; the ticks of the schedule do not change.`;

export function addRunNowCommand(schedule: Command, execute: Execute): void {
  const command = schedule
    .command('run-now')
    .description('Sends the message of a schedule now, in addition to its ticks.')
    .argument('<name>', 'the name of the schedule')
    .argument('<module>', 'the module that defines it')
    .action((name: string, module: string, flags: CommonFlags) =>
      execute(flags, (output) => runNow(name, module, flags, output)),
    );
  addHelp(command, NOTES, ADDRESS_HELP);
}

async function runNow(name: string, module: string, flags: CommonFlags, output: Output): Promise<ExitCode> {
  const schedules = await importSchedules(module);
  const schedule = schedules.find((one) => one.name === name);
  if (schedule === undefined) {
    const names = schedules.map((one) => `'${one.name}'`).join(', ');
    throw new CommandError(EXIT.usage, `there is no schedule '${name}' in '${module}'; there are ${names}`);
  }
  return withBroker('schedule run-now', flags, output, async (broker) => {
    const { id } = await createScheduler(broker, schedules).runNow(name);
    const { kind, name: target, to } = schedule.target;
    const where = kind === 'queue' ? { queue: target } : { topic: target, event: to.routingKey };
    if (output.json) await output.record({ schedule: name, ...where, id, broker: broker.url });
    else if (!output.quiet) await output.data(` [x] Sent '${id}' to '${target}'`);
    return EXIT.ok;
  });
}
