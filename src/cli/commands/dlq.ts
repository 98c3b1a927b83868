/** `millrace dlq` */
import type { Command } from 'commander';
import { addHelp, type Execute } from '../common-options.js';
import { addDropCommand } from './dlq/drop.js';
import { addListCommand } from './dlq/list.js';
import { addReplayCommand } from './dlq/replay.js';
import { addShowCommand } from './dlq/show.js';

const EXAMPLES = `
Examples:
  $ millrace dlq list -q orders              list what failed, when and why
  $ millrace dlq show -q orders ID           show one with its body
  $ millrace dlq replay -q orders --reason failed --rate 20
  $ millrace dlq drop -q orders --before 2026-01-31 --force`;

export function addDlqCommand(program: Command, execute: Execute): void {
  const dlq = program
    .command('dlq')
    .description('Lists, shows, replays and drops dead letters: messages that failed for good.');
  addHelp(dlq, EXAMPLES);
  addListCommand(dlq, execute);
  addShowCommand(dlq, execute);
  addReplayCommand(dlq, execute);
  addDropCommand(dlq, execute);
}
