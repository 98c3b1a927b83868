/** `millrace init` */

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { errorText } from '../../common/options.js';
import { addHelp, type Execute, shellQuoted } from '../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import type { Output, OutputFlags } from '../output.js';
import { serviceFiles } from './init/service.js';

interface InitFlags extends OutputFlags {
  readonly force?: boolean;
}

const EXAMPLES = `
Examples:
  $ millrace init shop     a new directory
  $ millrace init          this directory, if it is empty`;

const NOTES = `
Writes a web API that sends, a worker that handles, a test, a compose file with RabbitMQ, a Dockerfile and a README. Files that exist are never overwritten.`;

/** `version`: the version of millrace that the service depends on. */
export function addInitCommand(program: Command, execute: Execute, version: string): Command {
  const command = program
    .command('init')
    .description('Writes a starter service: an API, a worker and a test.')
    .argument('[dir]', 'the directory to write it into; created if missing', '.')
    .option('--force', 'write into a directory that is not empty; files that exist are kept')
    .action((directory: string, flags: InitFlags) =>
      execute(flags, (output) => init(directory, flags, output, version)),
    );
  addHelp(command, EXAMPLES, NOTES);
  return command;
}

async function init(
  directory: string,
  { force = false }: InitFlags,
  output: Output,
  version: string,
): Promise<ExitCode> {
  const path = resolve(directory);
  try {
    mkdirSync(path, { recursive: true });
    // Files of a version control system are not the user's.
    const present = readdirSync(path).filter((name) => name !== '.git');
    if (present.length > 0 && !force) {
      throw new CommandError(
        EXIT.usage,
        `'${directory}' is not empty (${present.slice(0, 3).join(', ')}${present.length > 3 ? ', …' : ''}): name a new directory, or add --force`,
      );
    }
    const written: string[] = [];
    const kept: string[] = [];
    for (const [name, text] of Object.entries(serviceFiles(packageName(path), version))) {
      (write(join(path, name), text) ? written : kept).push(name);
    }
    if (output.json) await output.record({ directory: path, written, kept });
    else await sayNext(directory, written, kept, output);
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const why = errorText(error);
    throw new CommandError(EXIT.failed, `'${directory}' can't be written: ${why}`, { cause: error });
  }
}

/** False if the file exists. */
function write(path: string, text: string): boolean {
  mkdirSync(dirname(path), { recursive: true });
  try {
    writeFileSync(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** As npm wants it. */
function packageName(path: string): string {
  const name = basename(path)
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  return name === '' ? 'service' : name;
}

async function sayNext(
  directory: string,
  written: readonly string[],
  kept: readonly string[],
  output: Output,
): Promise<void> {
  for (const name of written) await output.data(` [x] ${name}`);
  for (const name of kept) await output.data(` [!] ${name} exists, and was kept`);
  output.note(' [*] Next:');
  const steps = [
    ...(resolve(directory) === process.cwd() ? [] : [`cd ${shellQuoted(directory)}`]),
    'npm install && npm test',
    'npm run worker    # and in another terminal:',
    'npm run api',
    `curl -d '{"id":"A-1","total":12.5}' localhost:3000/orders`,
  ];
  for (const step of steps) output.note(`       ${step}`);
}
