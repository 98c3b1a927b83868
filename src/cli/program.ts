/** Assembles the commands of `millrace` and runs the one that the arguments name. */

import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { errorText } from '../common/options.js';
import { onOneLine } from '../common/reporting/terminal-text.js';
import { maskPasswords } from './address.js';
import { addBackupCommand } from './commands/backup.js';
import { addBenchCommand } from './commands/bench.js';
import { addCompletionCommands } from './commands/completion.js';
import { addDemoCommand } from './commands/demo.js';
import { addDlqCommand } from './commands/dlq.js';
import { addDoctorCommand } from './commands/doctor.js';
import { addInitCommand } from './commands/init.js';
import { addMoveCommand } from './commands/move.js';
import { addPauseCommands } from './commands/pause.js';
import { addPeekCommand } from './commands/peek.js';
import { addPublishCommand } from './commands/publish.js';
import { addPurgeCommand } from './commands/purge.js';
import { addQueuesCommand } from './commands/queues.js';
import { addRemoveCommand } from './commands/remove.js';
import { addScheduleCommand } from './commands/schedule.js';
import { addSendCommand } from './commands/send.js';
import { addShowCommand } from './commands/show.js';
import { addTailCommand } from './commands/tail.js';
import { addTopCommand } from './commands/top.js';
import { addTopologyCommand } from './commands/topology.js';
import { addUiCommand } from './commands/ui.js';
import { addWorkCommand } from './commands/work.js';
import { addCommonOptions, addHelp, addOutputOptions, type Execute } from './common-options.js';
import { EXIT, type ExitCode, exitCodeOf } from './exit-code.js';
import { HELP_LAYOUT, helpColumns } from './help-layout.js';
import { Output } from './output.js';

const DESCRIPTION = "Sends and handles messages through queues on this machine's disk or on RabbitMQ.";

const EXAMPLES = `
Examples:
  $ millrace demo                             watch a producer and a consumer
  $ millrace send 'Hello World!'              send to the queue 'hello'
  $ millrace work                             print messages as they arrive
  $ seq 10000 | millrace send -l -q numbers   send one message per line
  $ millrace work -q numbers --exec ./job.sh  body on stdin; done if it exits 0
  $ millrace work -q orders ./handler.js      handle messages with a function
  $ millrace publish order.placed A-1 -t shop
  $ millrace tail shop 'order.*'              print events as they are published
  $ millrace queues                           list queues and what they hold
  $ millrace dlq list -q orders               list messages that failed for good
  $ millrace doctor                           check that the broker is usable
  $ millrace init shop                        write an API, a worker and a test`;

const EXIT_HELP = `
Exit codes: 0 success; 1 failure; 2 usage error; 3 partial success; 4 nothing found; 65 invalid message; 69 broker unreachable; 75 temporary failure (no room or no answer in time, or no queue); 77 access denied; 78 configuration error; 129, 130, 131, 143 ended by HUP, INT, QUIT, TERM before the work was done.`;

/** Runs `millrace` with these arguments and returns its exit code. Never rejects. */
export async function run(args: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  let output: Output | undefined;
  const program = createProgram(async (flags, command) => {
    output = new Output(flags);
    exitCode = await command(output);
  });
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync(spellOutHelp(program, args), { from: 'user' });
    return exitCode;
  } catch (error) {
    // commander has already printed it.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    output ??= new Output();
    output.error(errorText(error));
    return exitCodeOf(error);
  }
}

/** All commands. */
export function createProgram(execute: Execute): Command {
  const program = createBareProgram(execute);
  addCompletionCommands(program, () => createBareProgram(execute));
  return program;
}

/** All except those for completion, which are derived from these. */
function createBareProgram(execute: Execute): Command {
  const program = new Command('millrace')
    .description(DESCRIPTION)
    .version(version())
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(`${onOneLine(maskPasswords(text))}\n`),
      getOutHelpWidth: helpColumns,
    })
    .configureHelp(HELP_LAYOUT)
    .showSuggestionAfterError();
  addHelp(program, EXAMPLES, EXIT_HELP);

  addSendCommand(program, execute);
  addWorkCommand(program, execute);
  addPublishCommand(program, execute);
  addTailCommand(program, execute);
  addQueuesCommand(program, execute);
  addShowCommand(program, execute);
  addPeekCommand(program, execute);
  addTopCommand(program, execute);
  addUiCommand(program, execute);
  addMoveCommand(program, execute);
  addPauseCommands(program, execute);
  addPurgeCommand(program, execute);
  addRemoveCommand(program, execute);
  addDlqCommand(program, execute);
  addDoctorCommand(program, execute);
  addTopologyCommand(program, execute);
  addScheduleCommand(program, execute);
  addBackupCommand(program, execute);
  addDemoCommand(program, execute);
  addBenchCommand(program, execute);

  for (const command of program.commands) {
    for (const leaf of command.commands.length > 0 ? command.commands : [command]) addCommonOptions(leaf);
  }
  // It needs no broker.
  addOutputOptions(addInitCommand(program, execute, version()));
  return program;
}

/**
 * Turns `help dlq list` into `dlq list --help`: commander's own `help` only looks at the first name. For a name that it
 * does not know, commander prints the help of its parent, as if it were valid; without the rest it is an error.
 */
function spellOutHelp(program: Command, args: readonly string[]): readonly string[] {
  const names = args[0] === 'help' ? args.slice(1) : args;
  const unknown = unknownName(program, names);
  if (unknown !== undefined) return names.slice(0, unknown + 1);
  return args[0] === 'help' && names.length > 0 ? [...names, '--help'] : args;
}

/** The position of the first name that should be a command but is not. */
function unknownName(program: Command, names: readonly string[]): number | undefined {
  let command = program;
  for (const [position, name] of names.entries()) {
    if (command.commands.length === 0 || name.startsWith('-') || name === 'help') return undefined;
    const next = command.commands.find((each) => each.name() === name);
    if (next === undefined) return position;
    command = next;
  }
  return undefined;
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
