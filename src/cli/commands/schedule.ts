/** `millrace schedule` */
import type { Command } from 'commander';
import { addHelp, type Execute } from '../common-options.js';
import { addForgetCommand } from './schedule/forget.js';
import { addListCommand } from './schedule/list.js';
import { addRunNowCommand } from './schedule/run-now.js';

const EXAMPLES = `
Examples:
  $ millrace schedule list ./schedules.js              when their next ticks are
  $ millrace schedule run-now nightly ./schedules.js   send its message now
  $ millrace schedule forget nightly                   begin anew`;

const NOTES = `
The module exports what defineSchedule returns. The schedules themselves run in programs that call createScheduler.`;

export function addScheduleCommand(program: Command, execute: Execute): void {
  const schedule = program
    .command('schedule')
    .description('Lists the schedules of a module, runs one now, or forgets one.');
  addHelp(schedule, EXAMPLES, NOTES);
  addListCommand(schedule, execute);
  addRunNowCommand(schedule, execute);
  addForgetCommand(schedule, execute);
}
