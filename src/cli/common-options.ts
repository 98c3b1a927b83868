/** The options that all commands share, and the interface by which `program.ts` runs them. */
import type { Command } from 'commander';
import { ADDRESS_VARIABLES, type AddressFlags, maskPasswords } from './address.js';
import type { ExitCode } from './exit-code.js';
import { helpColumns } from './help-layout.js';
import { wrap } from './layout.js';
import { durationOption, positiveDurationValue } from './option-values.js';
import type { Output, OutputFlags } from './output.js';

export interface CommonFlags extends AddressFlags, OutputFlags {
  /** How long to wait for the broker. Milliseconds. */
  readonly connectTimeout: number;
}

/** Runs a command with the output that its flags select, and records its exit code. */
export type Execute = (flags: OutputFlags, command: (output: Output) => Promise<ExitCode>) => Promise<void>;

export const ADDRESS_HELP = `
Address: --url, else --url-file, else the first of ${ADDRESS_VARIABLES.join(', ')} that is set (or <NAME>_FILE, the path of a file that contains the address), else the queues on this machine's disk, in $XDG_STATE_HOME/millrace or ~/.local/state/millrace. local:FOLDER names another folder; amqp://user:password@host is RabbitMQ, and several of these, separated by commas, are tried in turn.`;

/** For commands that must not put load on a broker by accident. */
export const TRIAL_ADDRESS_HELP = `
Address: --url or --url-file, else 'local:', in memory. Environment variables are ignored.`;

/** Adds texts below the options of a command, wrapped to the terminal. */
export function addHelp(command: Command, ...texts: readonly string[]): void {
  for (const text of texts) {
    command.addHelpText('after', () => wrap(text, helpColumns()));
  }
}

/** The flags that name the same broker, for a hint that can be pasted into a shell. */
export function addressFlags({ url, urlFile }: AddressFlags): string {
  if (urlFile !== undefined) return ` --url-file ${shellQuoted(urlFile)}`;
  if (url === undefined) return '';
  // A password must not be shown, and the hint would be wrong without it.
  return maskPasswords(url) === url ? ` -u ${shellQuoted(url)}` : ' -u … (the same address)';
}

/** Quotes a word for a POSIX shell, if necessary. */
export function shellQuoted(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A worker may start before its broker does, as in a compose file; people wait at the other commands. */
const CONNECT_TIMEOUTS: Readonly<Record<string, string>> = { work: '60s' };

export function addCommonOptions(command: Command): void {
  command
    .option('-u, --url <address>', "the broker's address; see below")
    .option('--url-file <path>', 'a file that contains the address; keeps the password off the command line')
    .addOption(
      durationOption(
        '--connect-timeout <duration>',
        'how long to wait for a broker that is not up yet',
        CONNECT_TIMEOUTS[command.name()] ?? '10s',
        positiveDurationValue,
      ),
    );
  addOutputOptions(command);
}

/** The options of {@link Output}, and how wrong ones are answered. */
export function addOutputOptions(command: Command): void {
  command
    .option('--json', 'write JSON lines')
    .option('--quiet', 'write data and errors only')
    .option('--no-color', 'no colors; the default with NO_COLOR, TERM=dumb, or output to a pipe or a file')
    .allowExcessArguments(false)
    .showHelpAfterError(`(run '${pathOf(command)} --help' for more)`);
}

/** For commands that print a table. */
export function addWideOption(command: Command): Command {
  return command.option('--wide', 'do not cut lines to the width of the terminal');
}

/** The command line that runs the command: `millrace dlq list`. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
