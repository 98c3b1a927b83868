/** `millrace topology export` */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { rabbitMqDefinitions } from '../../../diagnose.js';
import { addHelp, type Execute } from '../../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../../exit-code.js';
import { importTopology } from '../../import-module.js';
import type { Output, OutputFlags } from '../../output.js';

interface ExportFlags extends OutputFlags {
  readonly vhost: string;
  readonly for: string;
}

const NOTES = `
The file can be imported with 'rabbitmqctl import_definitions FILE', or on the management page. It does not contain queues that end with their process, and needs no broker.

Exit codes: 0 success; 78 the module or the file can't be used.`;

export function addExportCommand(topology: Command, execute: Execute): void {
  const command = topology
    .command('export')
    .description("Writes the topology of a module as RabbitMQ's definitions (JSON).")
    .argument('<file>', "the file to write, or '-' for standard output")
    .argument('<module>', 'the module that defines the topology')
    .option('--vhost <name>', 'the virtual host', '/')
    .option('--for <version>', 'the version of RabbitMQ', '4.3')
    .action((file: string, module: string, flags: ExportFlags) =>
      execute(flags, (output) => exportTopology(file, module, flags, output)),
    );
  addHelp(command, NOTES);
}

async function exportTopology(
  file: string,
  module: string,
  flags: ExportFlags,
  output: Output,
): Promise<ExitCode> {
  const { queues, exchanges } = await importTopology(module);
  const definitions = await rabbitMqDefinitions(queues, exchanges, flags.vhost, flags.for);
  const text = JSON.stringify(definitions, undefined, 2);
  if (file === '-') {
    await output.block(text);
    return EXIT.ok;
  }
  try {
    writeFileSync(file, `${text}\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(EXIT.configuration, `'${file}' can't be written: ${reason}`, { cause: error });
  }
  const counts = {
    exchanges: definitions.exchanges.length,
    queues: definitions.queues.length,
    bindings: definitions.bindings.length,
  };
  if (output.json) await output.record({ file, ...counts });
  else if (!output.quiet) {
    const parts = Object.entries(counts).map(([noun, count]) => `${count} ${noun}`);
    await output.data(` [x] Wrote ${parts.join(', ')} to ${file}`);
  }
  return EXIT.ok;
}
