/** `millrace topology export` */

import { writeFileSync } from 'node:fs';
import { parse } from 'node:path';
import { type Command, Option } from 'commander';
import { errorText } from '../../../common/options.js';
import { count } from '../../../common/reporting/count.js';
import { rabbitMqDefinitions } from '../../../diagnose.js';
import { addHelp, type Execute } from '../../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../../exit-code.js';
import { importTopology, type TopologyModule } from '../../import-module.js';
import type { Output, OutputFlags } from '../../output.js';
import { asyncApiOf } from './asyncapi.js';

interface ExportFlags extends OutputFlags {
  readonly format: 'rabbitmq' | 'asyncapi';
  readonly vhost: string;
  readonly for: string;
  readonly title?: string;
  readonly apiVersion: string;
}

const NOTES = `
--format rabbitmq can be imported with 'rabbitmqctl import_definitions FILE', or on the management page. --format asyncapi is an AsyncAPI 3.1 document with the schemas of the messages, if their library can write JSON Schema, as zod can; messages without one are listed. Neither contains queues that end with their process, and neither needs a broker.

Exit codes: 0 success; 78 the module or the file can't be used.`;

export function addExportCommand(topology: Command, execute: Execute): void {
  const command = topology
    .command('export')
    .description(
      "Writes the topology of a module as RabbitMQ's definitions (JSON), or as an AsyncAPI document.",
    )
    .argument('<file>', "the file to write, or '-' for standard output")
    .argument('<module>', 'the module that defines the topology')
    .addOption(
      new Option('--format <format>', 'the format of the file')
        .choices(['rabbitmq', 'asyncapi'])
        .default('rabbitmq'),
    )
    .option('--vhost <name>', 'the virtual host', '/')
    .option('--for <version>', 'rabbitmq: the version of RabbitMQ', '4.3')
    .option('--title <text>', 'asyncapi: the name of the application (default: that of the module)')
    .option('--api-version <version>', 'asyncapi: the version of the application', '1.0.0')
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
  const topology = await importTopology(module);
  const { document, contents, note } = await documentOf(topology, module, flags);
  const text = JSON.stringify(document, undefined, 2);
  if (file === '-') {
    await output.block(text);
  } else {
    writeDocument(file, text);
    if (output.json) await output.record({ file, ...contents });
    else if (!output.quiet) {
      const counts = Object.entries(contents).map(([nouns, number]) => count(number, nouns.slice(0, -1)));
      await output.data(` [x] Wrote ${counts.join(', ')} to ${file}`);
    }
  }
  if (note !== undefined) output.note(` [!] ${note}`);
  return EXIT.ok;
}

interface Exported {
  readonly document: object;
  /** How many of each kind, by its name in the plural. */
  readonly contents: Readonly<Record<string, number>>;
  /** The parts missing from the document. */
  readonly note?: string;
}

async function documentOf(
  { queues, exchanges, definitions }: TopologyModule,
  module: string,
  { format, vhost, for: version, title, apiVersion }: ExportFlags,
): Promise<Exported> {
  if (format === 'rabbitmq') {
    const document = await rabbitMqDefinitions(queues, exchanges, vhost, version);
    const contents = {
      exchanges: document.exchanges.length,
      queues: document.queues.length,
      bindings: document.bindings.length,
    };
    return { document, contents };
  }
  const options = { title: title ?? parse(module).name, version: apiVersion, vhost };
  const { document, undescribed } = asyncApiOf(definitions, options);
  const contents = {
    channels: Object.keys(document.channels).length,
    messages: Object.keys(document.components.messages).length,
  };
  if (undescribed.length === 0) return { document, contents };
  const names = undescribed.map((name) => `'${name}'`).join(', ');
  return { document, contents, note: `no JSON Schema can be made of the schema of ${names}` };
}

function writeDocument(file: string, text: string): void {
  try {
    writeFileSync(file, `${text}\n`);
  } catch (error) {
    const reason = errorText(error);
    throw new CommandError(EXIT.configuration, `'${file}' can't be written: ${reason}`, { cause: error });
  }
}
