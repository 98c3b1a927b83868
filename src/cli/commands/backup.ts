/** `millrace backup` */
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { targetOf } from '../../connect.js';
import { backUpFolder } from '../../diagnose.js';
import { chooseAddress } from '../address.js';
import { ADDRESS_HELP, addHelp, type CommonFlags, type Execute } from '../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import type { Output } from '../output.js';

const EXAMPLES = `
Examples:
  $ millrace backup monday.db                    the default folder
  $ millrace backup monday.db -u local:./folder`;

const NOTES = `
Makes a consistent copy of a folder's queues, even while other processes use them. To use the copy, put it into an empty folder as queue.db. Do not copy the files of a folder that is in use: such a copy may be incomplete.

Exit codes: 0 success; 75 disk full; 78 the folder or the file can't be used.`;

export function addBackupCommand(program: Command, execute: Execute): void {
  const command = program
    .command('backup')
    .description('Copies the queues of a folder on disk to a new file.')
    .argument('<file>', 'the file to create; it must not exist yet')
    .action((file: string, flags: CommonFlags) => execute(flags, (output) => backup(file, flags, output)));
  addHelp(command, EXAMPLES, NOTES, ADDRESS_HELP);
}

async function backup(file: string, flags: CommonFlags, output: Output): Promise<ExitCode> {
  const { address, source } = chooseAddress(flags);
  const target = targetOf(address);
  if (target.kind !== 'folder') {
    throw new CommandError(
      EXIT.configuration,
      `only queues in a folder, such as local:./folder, can be backed up; the address is from ${source}`,
    );
  }
  await backUpFolder(target.path, file);
  const { size } = statSync(file);
  if (output.json) await output.record({ folder: target.path, file, bytes: size });
  else await output.data(` [x] Copied ${target.path} to ${file} (${size} bytes)`);
  return EXIT.ok;
}
