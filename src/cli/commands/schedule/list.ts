/** `millrace schedule list` */
import type { Command } from 'commander';
import { onOneLine } from '../../../common/reporting/terminal-text.js';
import type { ScheduleInfo } from '../../../schedules/scheduler.js';
import { createScheduler } from '../../../schedules/scheduler.js';
import {
  ADDRESS_HELP,
  addHelp,
  addWideOption,
  type CommonFlags,
  type Execute,
} from '../../common-options.js';
import { EXIT, type ExitCode } from '../../exit-code.js';
import { importSchedules } from '../../import-module.js';
import { cut, padTo, widthOf } from '../../layout.js';
import { withBroker } from '../../open-broker.js';
import type { Output } from '../../output.js';

const NOTES = `
LAST is the last tick that was sent or skipped. On RabbitMQ only the scheduler that holds the schedule knows it, and RUNS says whether there is one; on disk any number of schedulers share it, and their number is unknown.`;

export function addListCommand(schedule: Command, execute: Execute): void {
  const command = schedule
    .command('list')
    .description('Shows the next tick of each schedule, the last one, and whether a scheduler runs it.')
    .argument('<module>', 'the module that defines the schedules')
    .action((module: string, flags: CommonFlags) => execute(flags, (output) => list(module, flags, output)));
  addWideOption(command);
  addHelp(command, NOTES, ADDRESS_HELP);
}

async function list(module: string, flags: CommonFlags, output: Output): Promise<ExitCode> {
  const schedules = await importSchedules(module);
  return withBroker('schedule list', flags, output, async (broker, signal) => {
    const infos = await createScheduler(broker, schedules).list({ signal });
    if (output.json) {
      for (const info of infos) await output.record(info);
    } else {
      for (const line of table(infos)) await output.data(cut(line, output.columns));
    }
    return EXIT.ok;
  });
}

function table(infos: readonly ScheduleInfo[]): string[] {
  const rows = [
    ['SCHEDULE', 'NEXT', 'LAST', 'RUNS', 'SENDS TO', 'TIMES'],
    ...infos.map(({ name, next, last, isHeld, queue, event, timing }) => [
      name,
      timeText(next) ?? 'never',
      timeText(last) ?? '-',
      isHeld === undefined ? '?' : isHeld ? 'yes' : 'no',
      queue ?? `${event?.topic}: ${event?.name}`,
      timing,
    ]),
  ].map((row) => row.map((cell) => onOneLine(cell)));
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ''))));
  return rows.map((row) =>
    row
      .map((cell, column) => padTo(cell, widths?.[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function timeText(time: Date | undefined): string | undefined {
  return time?.toISOString().replace('.000Z', 'Z');
}
