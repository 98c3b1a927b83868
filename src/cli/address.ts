/** Chooses the broker of a command, and records which setting named it. */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { errorText } from '../common/options.js';
import { CommandError, EXIT, type ExitCode } from './exit-code.js';

/** The first one that is set wins. Each also works as `<NAME>_FILE`, the path of a file that contains the address. */
export const ADDRESS_VARIABLES = ['MILLRACE_URL', 'AMQP_URL', 'RABBITMQ_URL', 'CLOUDAMQP_URL'] as const;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The default address: queues on this machine's disk, shared by all terminals. The XDG Base Directory Specification
 * says to ignore a state folder that is not an absolute path. A relative HOME is refused, because each working
 * directory would have its own queues.
 */
export function embeddedAddress(environment: Environment): string {
  const { XDG_STATE_HOME: stateHome = '' } = environment;
  if (isAbsolute(stateHome)) return `local:${join(stateHome, 'millrace')}`;
  const home = environment.HOME ?? homedir();
  if (isAbsolute(home)) return `local:${join(home, '.local', 'state', 'millrace')}`;
  throw new CommandError(
    EXIT.configuration,
    `HOME is '${home}', which is not an absolute path, so there is no default folder for queues: set HOME, or name a broker with --url`,
  );
}

export interface AddressFlags {
  readonly url?: string;
  readonly urlFile?: string;
}

export interface ChosenAddress {
  /** One address, or several separated by commas, including passwords. */
  readonly address: string;
  /** `--url`, the name of a variable, or `the default`: the setting to correct if the address is wrong. */
  readonly source: string;
}

/**
 * Takes `--url` or `--url-file`, else the environment, else the default. An empty variable counts as not set; if both
 * `X` and `X_FILE` are set, `X` wins.
 */
export function chooseAddress(
  flags: AddressFlags,
  environment: Environment = process.env,
  fallback: (environment: Environment) => string = embeddedAddress,
): ChosenAddress {
  if (flags.url !== undefined && flags.urlFile !== undefined) {
    throw new CommandError(
      EXIT.usage,
      '--url and --url-file both give the address of the broker; use one of them',
    );
  }
  if (flags.url !== undefined) return { address: flags.url, source: '--url' };
  if (flags.urlFile !== undefined) return fromFile(flags.urlFile, '--url-file');
  for (const name of ADDRESS_VARIABLES) {
    const address = environment[name];
    if (address) return { address, source: name };
    const path = environment[`${name}_FILE`];
    if (path) return fromFile(path, `${name}_FILE`);
  }
  return { address: fallback(environment), source: 'the default' };
}

/** The exit code for an invalid address: a usage error if it came from a flag, else a configuration error. */
export function badAddressExitCode({ source }: ChosenAddress): ExitCode {
  return source.startsWith('--') ? EXIT.usage : EXIT.configuration;
}

/**
 * Hides the passwords of all URLs in a text. The toolkit's own messages are masked already; this is for usage errors,
 * which quote the user's input.
 */
export function maskPasswords(text: string): string {
  // An address ends at the comma that separates it from the next; its last @ ends the password.
  return text.replace(/([a-z][a-z\d+.-]*:\/\/[^\s,:/?#@]*):[^\s,]*@/gi, '$1:***@');
}

function fromFile(path: string, source: string): ChosenAddress {
  let address: string;
  try {
    address = readFileSync(path, 'utf8').trim();
  } catch (error) {
    const reason = errorText(error);
    throw new CommandError(EXIT.configuration, `${source}: the address can't be read (${reason})`, {
      cause: error,
    });
  }
  if (address !== '') return { address, source };
  throw new CommandError(EXIT.configuration, `${source}: '${path}' contains no address`);
}
