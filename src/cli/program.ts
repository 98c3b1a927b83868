/** The commands of `millrace` with their options and help. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { ADDRESS_VARIABLES } from './address.js';
import { addBenchCommand } from './commands/bench.js';
import { type DemoFlags, demo } from './commands/demo.js';
import { addDlqCommand } from './commands/dlq/options.js';
import { addDoctorCommand } from './commands/doctor.js';
import { type SendFlags, send } from './commands/send.js';
import { type WorkFlags, work } from './commands/work.js';
import { EXIT, type ExitCode, exitCodeOf } from './exit-code.js';
import {
  delaysValue,
  durationValue,
  headerValue,
  integerValue,
  oneOrMore,
  positiveDurationValue,
} from './option-values.js';
import { Output, type OutputFlags } from './output.js';
import { maskPasswords } from './secrets.js';

const DESCRIPTION = "Sends and handles messages, through queues on this machine's disk or RabbitMQ.";

const EXAMPLES = `
Examples:
  $ millrace demo                                  see a fast producer and a slow consumer
  $ millrace send 'Hello World!'                   into the queue 'hello' on this machine's disk
  $ millrace work                                  print what comes
  $ seq 100000 | millrace send -l -q numbers       one message a line
  $ millrace work -q numbers -c 4 --exec ./job.sh  the body on standard input; done when it exits 0
  $ millrace work -q orders ./handle-order.js      done when its default export returns
  $ millrace dlq list -q orders                    what failed for good, and why
  $ millrace doctor                                what to mind about the broker`;

const ADDRESS_HELP = `
Address: --url, else --url-file, else the first of ${ADDRESS_VARIABLES.join(', ')} that is
set (each also as <NAME>_FILE, the path of a file with the address), else queues
on this machine's disk, in $XDG_STATE_HOME/millrace or ~/.local/state/millrace. local:FOLDER is a folder of your
choice, amqp://user:password@host RabbitMQ; several of those, with commas between them, are tried in turn.`;

const EXIT_HELP = `
Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done in part; 4 nothing there; 65 bad message;
69 broker unreachable; 75 no room, no answer in time or no queue; 77 access refused;
78 wrong configuration; 130 interrupted; 143 terminated before the work was finished.`;

/** Runs `millrace` with these arguments and says what its exit code is. Never rejects. */
export async function run(args: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.ok;
  let output: Output | undefined;
  const carryOut = async (flags: OutputFlags, command: (output: Output) => Promise<ExitCode>) => {
    output = new Output(flags);
    exitCode = await command(output);
  };
  const program = createProgram(carryOut);
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // commander has said already what it is about.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    output ??= new Output();
    output.error(maskPasswords(error instanceof Error ? error.message : String(error)));
    return exitCodeOf(error);
  }
}

type CarryOut = (flags: OutputFlags, command: (output: Output) => Promise<ExitCode>) => Promise<void>;

function createProgram(carryOut: CarryOut): Command {
  const program = new Command('millrace')
    .description(DESCRIPTION)
    .version(version())
    .addHelpText('after', EXAMPLES)
    .addHelpText('after', EXIT_HELP)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(maskPasswords(text)) })
    .showSuggestionAfterError();

  program
    .command('send')
    .description('Sends a message, or with --lines many, and ends when they are stored.')
    .argument(
      '[message...]',
      "the message; '-' reads it from the standard input, as does none when something is piped in",
    )
    .option(
      '-q, --queue <name>',
      'the queue; made as the RabbitMQ tutorials make it where there is none',
      'hello',
    )
    .option('-l, --lines', 'each line (ended by LF or CR LF) is a message, empty ones too')
    .option('-f, --file <path>', 'read the file instead of the standard input')
    .option('-H, --header <name:value>', 'a header of the message; may be repeated', headerValue)
    .option('--id <id>', 'the id of the message (default: a new UUID)')
    .option('--priority <n>', '0 to 31, the greater first', integerValue(0, 31))
    .option(
      '--content-type <type>',
      'what the body is (default: text/plain, or application/octet-stream for no UTF-8)',
    )
    .addOption(duration('--timeout <duration>', 'how long a message may wait to be stored', 30_000, '30s'))
    .addHelpText('after', ADDRESS_HELP)
    .action((words: string[], flags: SendFlags) => carryOut(flags, (output) => send(words, flags, output)));

  program
    .command('work')
    .description(
      'Handles the messages of a queue until it is stopped: prints them, or gives them to a command or a module.',
    )
    .argument('[handler]', 'a module whose default export, (value, context) => …, handles a message')
    .option(
      '-q, --queue <name>',
      'the queue; made as the RabbitMQ tutorials make it where there is none',
      'hello',
    )
    .option(
      '--exec <command>',
      'run a shell command for each message: the body on its standard input, done when it exits 0',
    )
    .option('-c, --concurrency <n>', 'how many messages are handled at once', integerValue(1, 65_535), 1)
    .option(
      '-p, --prefetch <n>',
      'how many messages are here at once (default: twice the concurrency, 100 to print)',
      integerValue(1, 65_535),
    )
    .option('--count <n>', 'take exactly so many messages, then end', oneOrMore)
    .option('--drain', 'end when the queue is empty; with exit code 4 where there was nothing')
    .option(
      '--retry <delays>',
      "the waits before a failed message is tried again, 'none' for none (default: 1s,10s,60s)",
      delaysValue,
    )
    .option(
      '--handler-timeout <duration>',
      'how long a message may take (default: 25m)',
      positiveDurationValue,
    )
    .addOption(
      duration(
        '--shutdown-timeout <duration>',
        'how long running work may still take after the first INT or TERM',
        30_000,
        '30s',
      ),
    )
    .addOption(
      duration(
        '--report <duration>',
        'how often to log how many messages were handled, retried and so on; at the end in any case',
        60_000,
        '60s',
        positiveDurationValue,
      ),
    )
    .addHelpText('after', ADDRESS_HELP)
    .action((handler: string | undefined, flags: WorkFlags) =>
      carryOut(flags, (output) => work(handler, flags, output)),
    );

  program
    .command('demo')
    .description('Shows a fast producer, a bounded queue and a slow consumer at work.')
    .option('--seconds <n>', 'how long the producer sends', oneOrMore, 10)
    .option('--messages <n>', 'how many it sends at most', oneOrMore)
    .option('--capacity <n>', 'how many messages the queue holds', oneOrMore, 100)
    .addOption(duration('--handle <duration>', 'how long the consumer takes for a message', 10, '10ms'))
    .addHelpText(
      'after',
      "\nAddress: --url or --url-file, else 'local:', in memory; the environment is not looked at.",
    )
    .action((flags: DemoFlags) => carryOut(flags, (output) => demo(flags, output)));

  addDlqCommand(program, carryOut, ADDRESS_HELP);
  addDoctorCommand(program, carryOut, ADDRESS_HELP);
  addBenchCommand(program, carryOut);

  for (const command of program.commands) {
    for (const leaf of command.commands.length > 0 ? command.commands : [command]) addCommonOptions(leaf);
  }
  return program;
}

function addCommonOptions(command: Command): void {
  command
    .option('-u, --url <address>', "the broker's address; see below")
    .option('--url-file <path>', 'a file that holds the address, to keep its password off the command line')
    .addOption(
      duration(
        '--connect-timeout <duration>',
        'how long to look for the broker',
        10_000,
        '10s',
        positiveDurationValue,
      ),
    )
    .option('--json', 'write JSON lines')
    .option('--quiet', 'write data and errors only')
    .option('--no-color', 'no colours; as do NO_COLOR, TERM=dumb and anything but a terminal')
    .allowExcessArguments(false)
    .showHelpAfterError(`(millrace ${command.name()} --help says more)`);
}

function duration(
  flags: string,
  description: string,
  value: number,
  shown: string,
  parse: (text: string) => number = durationValue,
): Option {
  return new Option(flags, description).argParser(parse).default(value, shown);
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
