import { type Command, Option } from 'commander';
import type { ExitCode } from '../exit-code.js';
import { integerValue, oneOrMore, positiveDurationValue } from '../option-values.js';
import type { Output, OutputFlags } from '../output.js';
import { type BenchFlags, bench, MIN_SIZE } from './bench/run-bench.js';

/** Adds `millrace bench`. Its short flags are those of RabbitMQ's own PerfTest. */
export function addBenchCommand(
  program: Command,
  carryOut: (flags: OutputFlags, command: (output: Output) => Promise<ExitCode>) => Promise<void>,
): void {
  program
    .command('bench')
    .description('Measures a broker: what goes through a second, and how long it takes.')
    .option('-x, --producers <n>', 'how many producers', oneOrMore, 1)
    .option('-y, --consumers <n>', 'how many consumers', oneOrMore, 1)
    .option('-s, --size <bytes>', 'how long a message is', integerValue(MIN_SIZE), 100)
    .option('-z, --seconds <n>', 'how long the producers send', oneOrMore, 10)
    .option('-r, --rate <n>', 'how many messages a second each producer sends (default: no limit)', oneOrMore)
    .option(
      '--confirm-window <n>',
      'how many messages each producer leaves unconfirmed; all together at most 1000',
      integerValue(1, 1000),
      1000,
    )
    .option('-p, --prefetch <n>', 'how many messages each consumer has here', integerValue(1, 65_535), 256)
    .addOption(
      new Option('--type <type>', 'the kind of queue on RabbitMQ')
        .choices(['quorum', 'classic'])
        .default('quorum'),
    )
    .addOption(
      new Option('--interval <duration>', 'how often to show the rates')
        .argParser(positiveDurationValue)
        .default(1000, '1s'),
    )
    .addHelpText(
      'after',
      `
The queue is made for the run; RabbitMQ removes it a minute later.
Address: --url or --url-file, else 'local:', in memory; the environment is not looked at.`,
    )
    .action((flags: BenchFlags) => carryOut(flags, (output) => bench(flags, output)));
}
